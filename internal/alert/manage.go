package alert

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"
)

// ErrTooManyRules is the cause of the error of [Engine.Create] when a tenant has as
// many rules as it may have.
var ErrTooManyRules = errors.New("too many rules")

const (
	// maxRulesOfAll is how many rules a dialect may have, whoever calls himself
	// which tenant.
	maxRulesOfAll = 100_000
	// changes is how often a change is tried against those of other replicas.
	changes = 100
	// changePause is how long to wait before that, at most.
	changePause = 20 * time.Millisecond
)

// Create stores r as a new rule with an ID of its own and returns it. Its
// Dialect, ID and Revision are set, and CreatedAt if it is zero. The limit of rules
// is exceeded by no more than the number of replicas.
func (e *Engine) Create(ctx context.Context, r Rule) (Rule, error) {
	if err := r.Validate(); err != nil {
		return Rule{}, err
	}
	release, err := take(ctx, e.change)
	if err != nil {
		return Rule{}, err
	}
	defer release()
	rules, err := e.rules(ctx)
	if err != nil {
		return Rule{}, err
	}
	own := 0
	for i := range rules {
		if rules[i].Tenant == r.Tenant {
			own++
		}
	}
	if own >= e.cfg.MaxRules {
		return Rule{}, fmt.Errorf("%w: there are %d, the limit is %d", ErrTooManyRules, own, e.cfg.MaxRules)
	}
	if len(rules) >= maxRulesOfAll {
		return Rule{}, fmt.Errorf("%w: all tenants have %d, the limit is %d", ErrTooManyRules, len(rules), maxRulesOfAll)
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
	release, err := take(ctx, e.change)
	if err != nil {
		return Rule{}, err
	}
	defer release()
	for range changes {
		rules, err := e.rules(ctx)
		if err != nil {
			return Rule{}, err
		}
		i := slices.IndexFunc(rules, func(r Rule) bool { return r.Key() == k })
		if i < 0 {
			return Rule{}, ErrNotFound
		}
		r := rules[i]
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

func (e *Engine) rules(ctx context.Context) ([]Rule, error) {
	rules, err := e.cfg.Store.Rules(ctx, e.cfg.Dialect)
	if err != nil {
		return nil, fmt.Errorf("read rules: %w", err)
	}
	return rules, nil
}

// List returns the rules of a tenant with their states, in the order they were
// created, and with what this process has found for them lately: the holder of the
// lease has that, other replicas may not.
func (e *Engine) List(ctx context.Context, tenant string) ([]Evaluation, error) {
	p, err := e.load(ctx, func(k Key) bool { return k.Tenant == tenant })
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
