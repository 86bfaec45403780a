package profilerule

import (
	"cmp"
	"slices"
	"sync"
	"time"
)

// choose gives each tenant as many queries as it may have, for the rules that were
// evaluated the longest ago. All queries of a rule are there or none, so that no
// rule waits for ever for one of two.
func choose(plans []plan, most int) []*tenantTurn {
	tenants := make(map[string][]*plan)
	for i := range plans {
		if p := &plans[i]; p.err == nil {
			tenants[p.rule.Tenant] = append(tenants[p.rule.Tenant], p)
		}
	}
	turns := make([]*tenantTurn, 0, len(tenants))
	for name, list := range tenants {
		slices.SortStableFunc(list, func(a, b *plan) int { return a.tried.Compare(b.tried) })
		t := &tenantTurn{tenant: name, oldest: list[0].tried}
		for _, p := range list {
			t.add(p.reads(), most)
		}
		turns = append(turns, t)
	}
	return turns
}

// tenantTurn is what is left to ask for the rules of one tenant.
type tenantTurn struct {
	tenant  string
	oldest  time.Time
	waiting []*read
	// running queries are under way, begun ones are these and those that took used.
	running, begun int
	used           time.Duration
}

// add takes the reads that are not there yet, unless they are too many.
func (t *tenantTurn) add(reads []*read, most int) {
	var fresh []*read
	for _, r := range reads {
		if !r.chosen {
			fresh = append(fresh, r)
		}
	}
	if len(t.waiting)+len(fresh) > most {
		return
	}
	for _, r := range fresh {
		r.chosen = true
	}
	t.waiting = append(t.waiting, fresh...)
}

// turns are the queries of all tenants. It is safe for concurrent use.
type turns struct {
	mu      sync.Mutex
	tenants []*tenantTurn
}

// next returns the next query, nil if there is none: that of the tenant which has
// the fewest under way, has used the least time, to the second, has begun the
// fewest, and has waited the longest. So many or slow rules of one tenant take
// nothing from those of another.
func (q *turns) next() (*tenantTurn, *read) {
	q.mu.Lock()
	defer q.mu.Unlock()
	var first *tenantTurn
	for _, t := range q.tenants {
		if len(t.waiting) > 0 && (first == nil || t.before(first)) {
			first = t
		}
	}
	if first == nil {
		return nil, nil
	}
	r := first.waiting[0]
	first.waiting = first.waiting[1:]
	first.running++
	first.begun++
	return first, r
}

func (t *tenantTurn) before(o *tenantTurn) bool {
	return cmp.Or(
		cmp.Compare(t.running, o.running),
		cmp.Compare(t.used/time.Second, o.used/time.Second),
		cmp.Compare(t.begun, o.begun),
		t.oldest.Compare(o.oldest),
	) < 0
}

// done tells that a query of t has ended.
func (q *turns) done(t *tenantTurn, took time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	t.running--
	t.used += took
}
