package alert

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	// writers is how many states are stored at once.
	writers = 8
	// steps is how many changes of a rule are stored in one pass: one that fires and
	// was changed is resolved, and fires again.
	steps = 2
)

// errStale is why values are thrown away that are too old to tell of the present:
// the process was stopped for a while, or the store was slow.
var errStale = errors.New("store states: the values are older than the lease")

// pass is one evaluation of rules.
type pass struct {
	e *Engine
	// tenant is whose rules they are; nil: of all.
	tenant *string
	// begun has a monotonic clock, now has not.
	begun, now time.Time
	// rules are those there are, and after them those which are gone but fire.
	rules []Evaluation
	alive int
	// lost are the indexes of rules whose states somebody else has changed.
	lost []int
}

// found is what this process knows of a rule, and the store does not.
type found struct {
	at         time.Time
	result     Result
	met        bool
	seq        uint64
	clearSince time.Time
}

// old reports whether f is no longer worth knowing.
func (e *Engine) old(f *found) bool { return time.Since(f.at) > e.cfg.LeaseTTL }

// stored returns a time as it comes back from a store, so that an alert began at
// the same time in all that is told of it.
func stored(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }

// load reads the rules of a tenant, or of all if it is nil, and their states.
func (e *Engine) load(ctx context.Context, tenant *string) (*pass, error) {
	begun := time.Now()
	p := &pass{e: e, tenant: tenant, begun: begun, now: stored(begun)}
	var (
		rules []Rule
		err   error
	)
	if tenant == nil {
		rules, err = e.cfg.Store.Rules(ctx, e.cfg.Dialect)
	} else {
		rules, err = e.cfg.Store.TenantRules(ctx, e.cfg.Dialect, *tenant)
	}
	if err != nil {
		return nil, fmt.Errorf("read rules: %w", err)
	}
	states, err := p.states(ctx)
	if err != nil {
		return nil, err
	}
	for _, r := range rules {
		p.rules = append(p.rules, Evaluation{Rule: r, State: states[r.Key()]})
		delete(states, r.Key())
	}
	p.alive = len(p.rules)
	for k, s := range states {
		if s.Phase == Firing {
			p.rules = append(p.rules, Evaluation{Rule: e.gone(k, &s), State: s})
		}
	}
	return p, nil
}

// gone returns what is known of a rule that was deleted while it was firing.
func (e *Engine) gone(k Key, s *State) Rule {
	r := Rule{Dialect: e.cfg.Dialect, Tenant: k.Tenant, ID: k.ID, Revision: s.Revision + 1, Deleted: true}
	if f := s.Fired; f != nil {
		r.Name, r.Severity = f.RuleName, f.Severity
	}
	return r
}

// states reads the states of the rules.
func (p *pass) states(ctx context.Context) (map[Key]State, error) {
	var (
		list []State
		err  error
	)
	if p.tenant == nil {
		list, err = p.e.cfg.Store.States(ctx, p.e.cfg.Dialect)
	} else {
		list, err = p.e.cfg.Store.TenantStates(ctx, p.e.cfg.Dialect, *p.tenant)
	}
	if err != nil {
		return nil, fmt.Errorf("read states: %w", err)
	}
	p.e.mu.Lock()
	defer p.e.mu.Unlock()
	states := make(map[Key]State, len(list))
	for _, s := range list {
		if f, ok := p.e.found[s.Key]; ok && f.seq == s.Seq && !p.e.old(&f) {
			s.ClearSince = f.clearSince
		}
		states[s.Key] = s
	}
	return states, nil
}

// reload reads the states of the rules that somebody else has changed.
func (p *pass) reload(ctx context.Context) error {
	states, err := p.states(ctx)
	if err != nil {
		return err
	}
	for _, i := range p.lost {
		p.rules[i].State = states[p.rules[i].Rule.Key()]
	}
	return nil
}

// evaluate finds the values of the rules that are enabled.
func (p *pass) evaluate(ctx context.Context) {
	var (
		rules []Rule
		index []int
	)
	for i := range p.rules {
		if r := &p.rules[i].Rule; r.Enabled && !r.Deleted {
			rules, index = append(rules, *r), append(index, i)
		}
	}
	if len(rules) == 0 {
		return
	}
	begun := time.Now()
	valueCtx, cancel := context.WithTimeout(ctx, p.e.cfg.Timeout)
	results := p.e.cfg.Evaluator.Evaluate(valueCtx, p.now, rules)
	cancel()
	failed := 0
	for i, at := range index {
		v := &p.rules[at]
		v.At = p.now
		if i < len(results) {
			v.Result = results[i]
		} else {
			v.Result = Result{Err: errors.New("evaluate rule: no result")}
		}
		if v.Result.Err != nil && !v.Result.NoData {
			failed++
			continue
		}
		v.Met = !v.Result.NoData && v.Rule.condition(v.Result.Value)
	}
	p.e.cfg.Observer.evaluated(ctx, len(rules), failed, time.Since(begun))
}

// store stores what has changed. It returns ErrConflict if somebody else has
// changed some of it, which are in lost then, and other errors first.
func (p *pass) store(ctx context.Context) error {
	todo := p.lost
	if todo == nil {
		todo = make([]int, len(p.rules))
		for i := range todo {
			todo[i] = i
		}
	}
	errs := make([]error, len(todo))
	var group errgroup.Group
	group.SetLimit(writers)
	for n, i := range todo {
		v := &p.rules[i]
		if next, _ := Next(&v.Rule, v.State, v.Result, p.now); next.Seq == v.State.Seq {
			v.State = next
			continue
		}
		group.Go(func() error {
			errs[n] = p.settle(ctx, v)
			return nil
		})
	}
	_ = group.Wait()
	p.lost = []int{}
	var failed error
	for n, err := range errs {
		switch {
		case errors.Is(err, ErrConflict):
			p.lost = append(p.lost, todo[n])
		case err != nil && failed == nil:
			failed = err
		}
	}
	if failed == nil && len(p.lost) > 0 {
		failed = fmt.Errorf("store states of %d rules: %w", len(p.lost), ErrConflict)
	}
	return failed
}

// settle stores the changes of one rule.
func (p *pass) settle(ctx context.Context, v *Evaluation) error {
	for range steps {
		next, event := Next(&v.Rule, v.State, v.Result, p.now)
		if next.Seq == v.State.Seq {
			v.State = next
			return nil
		}
		if time.Since(p.begun) > p.e.cfg.LeaseTTL {
			return errStale
		}
		if err := p.e.cfg.Store.Transition(ctx, p.e.cfg.Dialect, &next, event); err != nil {
			return fmt.Errorf("store state: %w", err)
		}
		v.State = next
		if event != nil {
			p.e.cfg.Observer.event(ctx, *event)
		}
	}
	return nil
}

// remember keeps what the store does not, for the rules there are.
func (p *pass) remember() {
	p.e.mu.Lock()
	defer p.e.mu.Unlock()
	for k := range p.e.found {
		if p.tenant == nil || *p.tenant == k.Tenant {
			delete(p.e.found, k)
		}
	}
	for i := range p.rules[:p.alive] {
		v := &p.rules[i]
		if v.At.IsZero() {
			continue
		}
		p.e.found[v.Rule.Key()] = found{
			at: p.begun, result: v.Result, met: v.Met, seq: v.State.Seq, clearSince: v.State.ClearSince,
		}
	}
}

// firing returns the events by which the alerts that are firing began. It is not
// nil. Those that somebody else has changed are left to the next evaluation.
func (p *pass) firing() []Event {
	lost := make(map[int]bool, len(p.lost))
	for _, i := range p.lost {
		lost[i] = true
	}
	events := []Event{}
	for i := range p.rules {
		if s := &p.rules[i].State; s.Phase == Firing && s.Fired != nil && !lost[i] {
			events = append(events, *s.Fired)
		}
	}
	return events
}
