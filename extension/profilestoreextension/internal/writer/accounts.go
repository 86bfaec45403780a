package writer

import (
	"slices"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/layout"
	"github.com/aperture-collector/aperture-collector/internal/profile"
)

// Accounts say how many observations a window brought for the batches in it: package
// check compares that with what is stored.
type Accounts struct {
	tenants map[string]*account
}

// account is that of a tenant with batches.
type account struct {
	claimed uint64 // by the batches
	hours   map[int64]uint64
	written bool
}

// NewAccounts returns those of a window without rows.
func NewAccounts(batches []profile.Batch) *Accounts {
	a := &Accounts{tenants: make(map[string]*account)}
	for i := range batches {
		b := &batches[i]
		t := a.tenants[b.Tenant]
		if t == nil {
			t = &account{hours: make(map[int64]uint64)}
			a.tenants[b.Tenant] = t
		}
		t.claimed = profile.AddCount(t.claimed, b.EventCount)
	}
	return a
}

// Add adds a row with observations that begin in an hour, in Unix seconds. It returns
// how many of them batches account for: all if the tenant has some, else none.
func (a *Accounts) Add(tenant string, hour int64, events uint64) uint64 {
	t := a.tenants[tenant]
	if t == nil {
		return 0
	}
	t.hours[hour] += events
	return events
}

// take returns the account of a tenant for the first of its batches, else nil. What
// has no hour is of the one that it was received in.
func (a *Accounts) take(b *profile.Batch) *account {
	t := a.tenants[b.Tenant]
	if t == nil || t.written {
		return nil
	}
	t.written = true
	if len(t.hours) == 0 {
		t.hours[b.ReceivedAt/layout.Hour*3600] = 0
	}
	return t
}

// sorted returns the hours in order, how many observations begin in each, and by how
// many the batches say there are more.
func (t *account) sorted() (hours []int64, events []uint64, missing uint64) {
	sum := uint64(0)
	for h := range t.hours {
		hours = append(hours, h)
	}
	slices.Sort(hours)
	for _, h := range hours {
		events = append(events, t.hours[h])
		sum = profile.AddCount(sum, t.hours[h])
	}
	return hours, events, t.claimed - min(t.claimed, sum)
}
