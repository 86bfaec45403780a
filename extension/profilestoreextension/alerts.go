package profilestoreextension

import (
	"context"
	"time"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/alerts"
	"github.com/aperture-collector/aperture-collector/internal/alert"
)

// alertStore keeps alerts over the connection that there is at the moment.
type alertStore struct{ s *store }

var (
	_ alert.Provider = (*store)(nil)
	_ alert.Store    = alertStore{}
)

// AlertStore implements [alert.Provider]. The methods of the store fail with
// [profilestore.ErrUnavailable] while ClickHouse is away.
func (s *store) AlertStore() alert.Store { return alertStore{s} }

// ask calls f with the connected store.
func ask[T any](a alertStore, f func(*alerts.Store) (T, error)) (T, error) {
	c, err := a.s.connected()
	if err != nil {
		var none T
		return none, err
	}
	v, err := f(c.alerts)
	return v, a.s.note(err)
}

// tell is ask for calls without an answer.
func tell(a alertStore, f func(*alerts.Store) error) error {
	_, err := ask(a, func(st *alerts.Store) (struct{}, error) { return struct{}{}, f(st) })
	return err
}

// NewID implements [alert.Store], as do the other methods.
func (a alertStore) NewID(ctx context.Context, dialect string) (uint64, error) {
	return ask(a, func(st *alerts.Store) (uint64, error) { return st.NewID(ctx, dialect) })
}

func (a alertStore) Rules(ctx context.Context, dialect string) ([]alert.Rule, error) {
	return ask(a, func(st *alerts.Store) ([]alert.Rule, error) { return st.Rules(ctx, dialect) })
}

func (a alertStore) TenantRules(ctx context.Context, dialect, tenant string) ([]alert.Rule, error) {
	return ask(a, func(st *alerts.Store) ([]alert.Rule, error) { return st.TenantRules(ctx, dialect, tenant) })
}

func (a alertStore) Rule(ctx context.Context, dialect string, k alert.Key) (alert.Rule, error) {
	return ask(a, func(st *alerts.Store) (alert.Rule, error) { return st.Rule(ctx, dialect, k) })
}

func (a alertStore) Usage(ctx context.Context, dialect, tenant string) (alert.Usage, error) {
	return ask(a, func(st *alerts.Store) (alert.Usage, error) { return st.Usage(ctx, dialect, tenant) })
}

func (a alertStore) TenantStates(ctx context.Context, dialect, tenant string) ([]alert.State, error) {
	return ask(a, func(st *alerts.Store) ([]alert.State, error) { return st.TenantStates(ctx, dialect, tenant) })
}

func (a alertStore) PutRule(ctx context.Context, r *alert.Rule) error {
	return tell(a, func(st *alerts.Store) error { return st.PutRule(ctx, r) })
}

func (a alertStore) States(ctx context.Context, dialect string) ([]alert.State, error) {
	return ask(a, func(st *alerts.Store) ([]alert.State, error) { return st.States(ctx, dialect) })
}

func (a alertStore) Transition(ctx context.Context, dialect string, s *alert.State, e *alert.Event) error {
	return tell(a, func(st *alerts.Store) error { return st.Transition(ctx, dialect, s, e) })
}

func (a alertStore) History(ctx context.Context, dialect, tenant string, limit int) ([]alert.Event, error) {
	return ask(a, func(st *alerts.Store) ([]alert.Event, error) { return st.History(ctx, dialect, tenant, limit) })
}

func (a alertStore) Undelivered(ctx context.Context, dialect, receiver string, since time.Time, skip []alert.Key, limit int) ([]alert.Event, error) {
	return ask(a, func(st *alerts.Store) ([]alert.Event, error) {
		return st.Undelivered(ctx, dialect, receiver, since, skip, limit)
	})
}

func (a alertStore) Delivered(ctx context.Context, dialect, receiver string, events []alert.Event) error {
	return tell(a, func(st *alerts.Store) error { return st.Delivered(ctx, dialect, receiver, events) })
}

func (a alertStore) Lease(ctx context.Context, dialect, holder string, ttl time.Duration) (bool, error) {
	return ask(a, func(st *alerts.Store) (bool, error) { return st.Lease(ctx, dialect, holder, ttl) })
}

func (a alertStore) Publish(ctx context.Context, dialect, replica string, values map[string]float64) error {
	return tell(a, func(st *alerts.Store) error { return st.Publish(ctx, dialect, replica, values) })
}

func (a alertStore) Published(ctx context.Context, dialect string, maxAge time.Duration) (map[string]map[string]float64, error) {
	return ask(a, func(st *alerts.Store) (map[string]map[string]float64, error) {
		return st.Published(ctx, dialect, maxAge)
	})
}
