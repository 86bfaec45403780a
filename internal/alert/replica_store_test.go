package alert

import (
	"context"
	"time"
)

func (r *replica) NewID(ctx context.Context, d string) (id uint64, err error) {
	err = r.call("new id", func() (err error) { id, err = r.w.NewID(ctx, d); return err })
	return id, err
}

func (r *replica) Rules(ctx context.Context, d string) (rules []Rule, err error) {
	err = r.call("rules", func() (err error) { rules, err = r.w.Rules(ctx, d); return err })
	return rules, err
}

func (r *replica) TenantRules(ctx context.Context, d, tenant string) (rules []Rule, err error) {
	err = r.call("rules", func() (err error) { rules, err = r.w.TenantRules(ctx, d, tenant); return err })
	return rules, err
}

func (r *replica) Rule(ctx context.Context, d string, k Key) (rule Rule, err error) {
	err = r.call("rules", func() (err error) { rule, err = r.w.Rule(ctx, d, k); return err })
	return rule, err
}

func (r *replica) Usage(ctx context.Context, d, tenant string) (u Usage, err error) {
	err = r.call("usage", func() (err error) { u, err = r.w.Usage(ctx, d, tenant); return err })
	return u, err
}

func (r *replica) TenantStates(ctx context.Context, d, tenant string) (states []State, err error) {
	err = r.call("states", func() (err error) { states, err = r.w.TenantStates(ctx, d, tenant); return err })
	return states, err
}

func (r *replica) PutRule(ctx context.Context, rule *Rule) error {
	return r.call("put rule", func() error { return r.w.PutRule(ctx, rule) })
}

func (r *replica) States(ctx context.Context, d string) (states []State, err error) {
	err = r.call("states", func() (err error) { states, err = r.w.States(ctx, d); return err })
	return states, err
}

func (r *replica) Transition(ctx context.Context, d string, s *State, e *Event) error {
	return r.call("transition", func() error { return r.w.Transition(ctx, d, s, e) })
}

func (r *replica) History(ctx context.Context, d, tenant string, limit int) ([]Event, error) {
	return r.w.History(ctx, d, tenant, limit)
}

func (r *replica) Undelivered(ctx context.Context, d, receiver string, since time.Time, skip []Key, limit int) (events []Event, err error) {
	err = r.call("undelivered", func() (err error) {
		events, err = r.w.Undelivered(ctx, d, receiver, since, skip, limit)
		return err
	})
	return events, err
}

func (r *replica) Delivered(ctx context.Context, d, receiver string, events []Event) error {
	return r.call("delivered", func() error {
		if err := ctx.Err(); err != nil {
			return err
		}
		return r.w.Delivered(ctx, d, receiver, events)
	})
}

func (r *replica) Lease(ctx context.Context, d, holder string, ttl time.Duration) (ok bool, err error) {
	err = r.call("lease", func() (err error) { ok, err = r.w.Lease(ctx, d, holder, ttl); return err })
	return ok, err
}

func (r *replica) Publish(ctx context.Context, d, replica string, values map[string]float64) error {
	return r.w.Publish(ctx, d, replica, values)
}

func (r *replica) Published(ctx context.Context, d string, maxAge time.Duration) (map[string]map[string]float64, error) {
	return r.w.Published(ctx, d, maxAge)
}
