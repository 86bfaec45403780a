package alert

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.uber.org/zap"
)

// attempts is how often an evaluation on demand is held against what others have
// stored in the meantime.
const attempts = 3

// Evaluation is what became of a rule.
type Evaluation struct {
	Rule  Rule
	State State
	// At is when the value was looked for; zero if it was not, or not by this
	// process, or long ago.
	At     time.Time
	Result Result
	// Met is whether the value meets the condition.
	Met bool
}

// Firing reports whether the value meets the condition, and has done so for
// [Rule.For].
func (v *Evaluation) Firing() bool { return v.Met && v.State.Phase == Firing }

// EvaluateNow evaluates the enabled rules of a tenant, whoever holds the lease,
// and returns what became of them, in the order they were created. What changes is
// stored once, however many calls there are at the same time.
//
// Errors are those of the store. The evaluator's are in the results.
func (e *Engine) EvaluateNow(ctx context.Context, tenant string) ([]Evaluation, error) {
	release, err := e.now.take(ctx, tenant)
	if err != nil {
		return nil, err
	}
	defer release()
	ctx, cancel := context.WithTimeout(ctx, e.cfg.LeaseTTL)
	defer cancel()
	p, err := e.load(ctx, &tenant)
	if err != nil {
		return nil, err
	}
	p.evaluate(ctx)
	for range attempts {
		if err = p.store(ctx); !errors.Is(err, ErrConflict) {
			break
		}
		// Others have changed the states: what is true now may be stored already.
		if err = p.reload(ctx); err != nil {
			break
		}
	}
	p.remember()
	for _, r := range e.receivers {
		r.wake(nil)
	}
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(p.rules, func(v Evaluation) bool { return !v.Rule.Enabled || v.Rule.Deleted }), nil
}

// round is what the loop does at each interval.
func (e *Engine) round(ctx context.Context) {
	parent := ctx
	ctx, cancel := context.WithTimeout(ctx, e.cfg.LeaseTTL)
	defer cancel()
	begun := time.Now()
	leads, err := e.cfg.Store.Lease(ctx, e.cfg.Dialect, e.holder, e.cfg.LeaseTTL)
	switch {
	case err != nil:
		err = fmt.Errorf("take lease: %w", err)
	case !leads:
		e.follow(ctx)
		return
	default:
		e.held(begun.Add(e.cfg.LeaseTTL))
		err = e.evaluateAll(ctx)
	}
	if parent.Err() != nil {
		return
	}
	e.report(ctx, err)
	// Also if the store is away: alerts that are not repeated end by themselves
	// elsewhere, and a store that is away resolves nothing. If we had not been the
	// holder, there is nothing to repeat.
	for _, r := range e.receivers {
		r.wake(e.firing)
	}
}

// follow is what there is to do while another replica holds the lease.
func (e *Engine) follow(ctx context.Context) {
	if e.firing != nil {
		e.firing = nil
		e.cfg.Observer.rules(ctx, 0, 0)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.heldUntil = time.Time{}
	for k, f := range e.found {
		if e.old(&f) {
			delete(e.found, k)
		}
	}
}

// evaluateAll evaluates the rules of all tenants.
func (e *Engine) evaluateAll(ctx context.Context) error {
	p, err := e.load(ctx, nil)
	if err != nil {
		return err
	}
	p.evaluate(ctx)
	// Rules that somebody else has changed at the same time are left to the next
	// evaluation.
	err = p.store(ctx)
	if errors.Is(err, ErrConflict) {
		err = nil
	}
	p.remember()
	e.firing = p.firing()
	e.cfg.Observer.rules(ctx, p.alive, len(e.firing))
	return err
}

// report tells of a round that failed; the log only of the first in a row.
func (e *Engine) report(ctx context.Context, err error) {
	switch {
	case err != nil:
		e.cfg.Observer.failed(ctx, err)
		if !e.failing {
			e.cfg.Logger.Warn("Alert rules cannot be evaluated", zap.Error(err))
		}
	case e.failing:
		e.cfg.Logger.Info("Alert rules are evaluated again")
	}
	e.failing = err != nil
}
