package alert

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"
)

// ErrTooManyRules is the cause of the error of [Engine.Create] when a tenant has as
// many rules as it may have.
var ErrTooManyRules = errors.New("too many rules")

const (
	// maxTenantBytes bounds the texts of the rules of a tenant.
	maxTenantBytes = 4 << 20
	// maxRulesOfAll is how many rules a dialect may have, and maxBytesOfAll how much
	// text, whoever calls himself which tenant.
	maxRulesOfAll = 100_000
	maxBytesOfAll = 64 << 20
	// changes is how often a change is tried against those of other replicas.
	changes = 100
	// changePause is how long to wait before that, at most.
	changePause = 20 * time.Millisecond
)

// Create stores r as a new rule with an ID of its own and returns it. Its
// Dialect, ID and Revision are set, and CreatedAt if it is zero. The limits of a
// tenant are exceeded by no more than one rule for each other replica, those of all
// tenants by one for each tenant.
func (e *Engine) Create(ctx context.Context, r Rule) (Rule, error) {
	if err := r.Validate(); err != nil {
		return Rule{}, err
	}
	release, err := e.change.take(ctx, r.Tenant)
	if err != nil {
		return Rule{}, err
	}
	defer release()
	if err := e.room(ctx, &r); err != nil {
		return Rule{}, err
	}
	id, err := e.cfg.Store.NewID(ctx, e.cfg.Dialect)
	if err != nil {
		return Rule{}, fmt.Errorf("find id for rule: %w", err)
	}
	r.Dialect, r.ID = e.cfg.Dialect, e.cfg.IDPrefix+strconv.FormatUint(id, 10)
	r.Revision, r.Deleted = 1, false
	if r.CreatedAt.IsZero() {
		r.CreatedAt = stored(time.Now())
	}
	if err := e.cfg.Store.PutRule(ctx, &r); err != nil {
		return Rule{}, fmt.Errorf("store rule %q: %w", r.ID, err)
	}
	return r, nil
}

// room returns an error if there is no room for one more rule.
func (e *Engine) room(ctx context.Context, r *Rule) error {
	u, err := e.cfg.Store.Usage(ctx, e.cfg.Dialect, r.Tenant)
	size := r.Size()
	switch {
	case err != nil:
		return fmt.Errorf("count rules: %w", err)
	case u.Rules >= e.cfg.MaxRules:
		return fmt.Errorf("%w: there are %d, the limit is %d", ErrTooManyRules, u.Rules, e.cfg.MaxRules)
	case u.Bytes+size > maxTenantBytes:
		return fmt.Errorf("%w: they and this one hold %d bytes of text, the limit is %d", ErrTooManyRules, u.Bytes+size, maxTenantBytes)
	case u.AllRules >= maxRulesOfAll:
		return fmt.Errorf("%w: all tenants have %d, the limit is %d", ErrTooManyRules, u.AllRules, maxRulesOfAll)
	case u.AllBytes+size > maxBytesOfAll:
		return fmt.Errorf("%w: those of all tenants and this one hold %d bytes of text, the limit is %d",
			ErrTooManyRules, u.AllBytes+size, maxBytesOfAll)
	}
	return nil
}

// Delete deletes a rule. Of several calls for the same rule exactly one returns
// true; it returns false if there is no such rule.
func (e *Engine) Delete(ctx context.Context, k Key) (bool, error) {
	_, err := e.update(ctx, k, func(r *Rule) { r.Deleted = true })
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// Toggle enables a rule that is disabled, disables one that is enabled, and reports
// what it is then. Several calls at once do so one after the other. The error is
// ErrNotFound if there is no such rule.
func (e *Engine) Toggle(ctx context.Context, k Key) (enabled bool, err error) {
	r, err := e.update(ctx, k, func(r *Rule) { r.Enabled = !r.Enabled })
	return r.Enabled, err
}

// update stores a new revision of a rule.
func (e *Engine) update(ctx context.Context, k Key, change func(*Rule)) (Rule, error) {
	release, err := e.change.take(ctx, k.Tenant)
	if err != nil {
		return Rule{}, err
	}
	defer release()
	for range changes {
		r, err := e.cfg.Store.Rule(ctx, e.cfg.Dialect, k)
		if err != nil {
			return Rule{}, fmt.Errorf("read rule %q: %w", k.ID, err)
		}
		r.Revision++
		change(&r)
		err = e.cfg.Store.PutRule(ctx, &r)
		if err == nil {
			return r, nil
		}
		if !errors.Is(err, ErrConflict) {
			return Rule{}, fmt.Errorf("store rule %q: %w", k.ID, err)
		}
		select {
		case <-time.After(upTo(changePause)):
		case <-ctx.Done():
			return Rule{}, context.Cause(ctx)
		}
	}
	return Rule{}, fmt.Errorf("store rule %q: %w %d times", k.ID, ErrConflict, changes)
}

// List returns the rules of a tenant with their states, in the order they were
// created, and with what this process has found for them lately: the holder of the
// lease has that, other replicas may not.
func (e *Engine) List(ctx context.Context, tenant string) ([]Evaluation, error) {
	p, err := e.load(ctx, &tenant)
	if err != nil {
		return nil, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	rules := p.rules[:p.alive]
	for i := range rules {
		v := &rules[i]
		if v.State.Seq == 0 {
			v.State = State{Key: v.Rule.Key(), Phase: Inactive}
		}
		if f, ok := e.found[v.Rule.Key()]; ok && !e.old(&f) && v.Rule.Enabled {
			v.At, v.Result, v.Met = stored(f.at), f.result, f.met
		}
	}
	return rules, nil
}
