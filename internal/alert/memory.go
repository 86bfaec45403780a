package alert

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"
	"time"
)

// memoryHistory is how many events Memory keeps of a tenant, the oldest are
// dropped. It is what the history of the Aperture API answers at most.
const memoryHistory = 500

// memoryEvents is how many events Memory keeps of all tenants of a dialect. When
// there are more, the tenant that has most loses its oldest.
const memoryEvents = 4 * memoryHistory

// Memory is a Store for a single process: everything is lost when it ends, and a
// second replica has rules and alerts of its own. It is for APIs that run without
// a profile store. Its memory is bounded by the rules that are not deleted and
// the last 500 events of each tenant, 2,000 of all.
type Memory struct {
	mu       sync.Mutex
	dialects map[string]*memoryDialect
}

var _ Store = (*Memory)(nil)

// memoryDialect is what Memory keeps of one dialect.
type memoryDialect struct {
	ids    uint64
	rules  map[Key]*memoryRule
	order  []Key              // of rules, as they were created
	events map[string][]Event // by tenant, oldest first
	// delivered are the events in the history which a receiver has.
	delivered map[string]map[eventKey]struct{}
	holder    string
	until     time.Time
	published map[string]publication
}

// memoryRule is a rule and its state.
type memoryRule struct {
	rule  Rule
	state State
}

type eventKey struct {
	Key
	seq uint64
}

type publication struct {
	at     time.Time
	values map[string]float64
}

// NewMemory returns an empty Memory.
func NewMemory() *Memory { return &Memory{dialects: map[string]*memoryDialect{}} }

// lock returns what is kept of a dialect, and what unlocks it.
func (m *Memory) lock(dialect string) (*memoryDialect, func()) {
	m.mu.Lock()
	d := m.dialects[dialect]
	if d == nil {
		d = &memoryDialect{
			rules:     map[Key]*memoryRule{},
			events:    map[string][]Event{},
			delivered: map[string]map[eventKey]struct{}{},
			published: map[string]publication{},
		}
		m.dialects[dialect] = d
	}
	return d, m.mu.Unlock
}

// NewID implements Store.
func (m *Memory) NewID(_ context.Context, dialect string) (uint64, error) {
	d, unlock := m.lock(dialect)
	defer unlock()
	d.ids++
	return d.ids, nil
}

// Rules implements Store.
func (m *Memory) Rules(_ context.Context, dialect string) ([]Rule, error) {
	d, unlock := m.lock(dialect)
	defer unlock()
	rules := make([]Rule, 0, len(d.order))
	for _, k := range d.order {
		if r := d.rules[k]; !r.rule.Deleted {
			rules = append(rules, r.rule)
		}
	}
	return rules, nil
}

// TenantRules implements Store.
func (m *Memory) TenantRules(ctx context.Context, dialect, tenant string) ([]Rule, error) {
	rules, err := m.Rules(ctx, dialect)
	return slices.DeleteFunc(rules, func(r Rule) bool { return r.Tenant != tenant }), err
}

// Rule implements Store.
func (m *Memory) Rule(_ context.Context, dialect string, k Key) (Rule, error) {
	d, unlock := m.lock(dialect)
	defer unlock()
	r := d.rules[k]
	if r == nil || r.rule.Deleted {
		return Rule{}, ErrNotFound
	}
	return r.rule, nil
}

// Usage implements Store.
func (m *Memory) Usage(_ context.Context, dialect, tenant string) (Usage, error) {
	d, unlock := m.lock(dialect)
	defer unlock()
	var u Usage
	for k, r := range d.rules {
		if r.rule.Deleted {
			continue
		}
		size := r.rule.Size()
		u.AllRules, u.AllBytes = u.AllRules+1, u.AllBytes+size
		if k.Tenant == tenant {
			u.Rules, u.Bytes = u.Rules+1, u.Bytes+size
		}
	}
	return u, nil
}

// PutRule implements Store.
func (m *Memory) PutRule(_ context.Context, r *Rule) error {
	d, unlock := m.lock(r.Dialect)
	defer unlock()
	k := r.Key()
	old := d.rules[k]
	switch {
	case old == nil && r.Revision == 1:
		d.rules[k] = &memoryRule{rule: *r}
		d.order = append(d.order, k)
	case old != nil && r.Revision == old.rule.Revision+1:
		old.rule = *r
	default:
		return ErrConflict
	}
	d.forget(k)
	return nil
}

// forget drops a rule which is deleted and no longer firing. Its ID stays taken,
// because NewID never returns it again.
func (d *memoryDialect) forget(k Key) {
	if r := d.rules[k]; r == nil || !r.rule.Deleted || r.state.Phase == Firing {
		return
	}
	delete(d.rules, k)
	d.order = slices.DeleteFunc(d.order, func(o Key) bool { return o == k })
}

// States implements Store.
func (m *Memory) States(_ context.Context, dialect string) ([]State, error) {
	d, unlock := m.lock(dialect)
	defer unlock()
	var states []State
	for _, k := range d.order {
		if s := d.rules[k].state; s.Seq > 0 {
			states = append(states, s)
		}
	}
	return states, nil
}

// TenantStates implements Store.
func (m *Memory) TenantStates(ctx context.Context, dialect, tenant string) ([]State, error) {
	states, err := m.States(ctx, dialect)
	return slices.DeleteFunc(states, func(s State) bool { return s.Key.Tenant != tenant }), err
}

// Transition implements Store.
func (m *Memory) Transition(_ context.Context, dialect string, s *State, e *Event) error {
	d, unlock := m.lock(dialect)
	defer unlock()
	r := d.rules[s.Key]
	if r == nil || s.Seq != r.state.Seq+1 {
		return ErrConflict
	}
	r.state = *s
	r.state.ClearSince, r.state.Fired = time.Time{}, nil
	if e != nil {
		event := *e
		d.append(event)
		if s.Phase == Firing {
			r.state.Fired = &event
		}
	}
	d.forget(s.Key)
	return nil
}

// append adds an event to the history, and drops old ones.
func (d *memoryDialect) append(e Event) {
	d.events[e.Key.Tenant] = append(d.events[e.Key.Tenant], e)
	if len(d.events[e.Key.Tenant]) > memoryHistory {
		d.drop(e.Key.Tenant)
	}
	total, largest := 0, e.Key.Tenant
	for tenant, events := range d.events {
		total += len(events)
		if n := len(d.events[largest]); len(events) > n || len(events) == n && events[0].At.Before(d.events[largest][0].At) {
			largest = tenant
		}
	}
	if total > memoryEvents {
		d.drop(largest)
	}
}

// drop forgets the oldest event of a tenant.
func (d *memoryDialect) drop(tenant string) {
	events := d.events[tenant]
	for _, receiver := range d.delivered {
		delete(receiver, events[0].key())
	}
	if len(events) == 1 {
		delete(d.events, tenant)
		return
	}
	d.events[tenant] = slices.Clone(events[1:])
}

func (e *Event) key() eventKey { return eventKey{e.Key, e.Seq} }

// older orders events as they happened.
func older(a, b Event) int {
	return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Seq, b.Seq))
}

// History implements Store.
func (m *Memory) History(_ context.Context, dialect, tenant string, limit int) ([]Event, error) {
	d, unlock := m.lock(dialect)
	defer unlock()
	events := slices.Clone(d.events[tenant])
	slices.SortStableFunc(events, older)
	slices.Reverse(events)
	return events[:max(0, min(limit, len(events)))], nil
}

// Undelivered implements Store.
func (m *Memory) Undelivered(_ context.Context, dialect, receiver string, since time.Time, skip []Key, limit int) ([]Event, error) {
	d, unlock := m.lock(dialect)
	defer unlock()
	var events []Event
	for _, history := range d.events {
		for _, e := range history {
			if _, ok := d.delivered[receiver][e.key()]; ok || e.At.Before(since) || slices.Contains(skip, e.Key) ||
				e.Phase == Resolved && e.StartsAt.Before(since) && !d.heard(receiver, history, eventKey{e.Key, e.Episode}) {
				continue
			}
			events = append(events, e)
		}
	}
	slices.SortStableFunc(events, older)
	return events[:max(0, min(limit, len(events)))], nil
}

// heard reports whether a receiver was told of an event, as far as is known.
func (d *memoryDialect) heard(receiver string, history []Event, k eventKey) bool {
	_, ok := d.delivered[receiver][k]
	return ok || !slices.ContainsFunc(history, func(e Event) bool { return e.key() == k })
}

// Delivered implements Store.
func (m *Memory) Delivered(_ context.Context, dialect, receiver string, events []Event) error {
	d, unlock := m.lock(dialect)
	defer unlock()
	if d.delivered[receiver] == nil {
		d.delivered[receiver] = map[eventKey]struct{}{}
	}
	for _, e := range events {
		// An event that the history has lost is not remembered here either.
		if slices.ContainsFunc(d.events[e.Key.Tenant], func(o Event) bool { return o.key() == e.key() }) {
			d.delivered[receiver][e.key()] = struct{}{}
		}
	}
	return nil
}

// Lease implements Store.
func (m *Memory) Lease(_ context.Context, dialect, holder string, ttl time.Duration) (bool, error) {
	d, unlock := m.lock(dialect)
	defer unlock()
	now := time.Now()
	if d.holder != holder && now.Before(d.until) {
		return false, nil
	}
	d.holder, d.until = holder, now.Add(ttl)
	return ttl > 0, nil
}

// Publish implements Store.
func (m *Memory) Publish(_ context.Context, dialect, replica string, values map[string]float64) error {
	d, unlock := m.lock(dialect)
	defer unlock()
	d.published[replica] = publication{time.Now(), maps.Clone(values)}
	return nil
}

// Published implements Store.
func (m *Memory) Published(_ context.Context, dialect string, maxAge time.Duration) (map[string]map[string]float64, error) {
	d, unlock := m.lock(dialect)
	defer unlock()
	all := map[string]map[string]float64{}
	for replica, p := range d.published {
		if time.Since(p.at) <= maxAge {
			all[replica] = maps.Clone(p.values)
		}
	}
	return all, nil
}
