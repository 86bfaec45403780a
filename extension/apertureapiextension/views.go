package apertureapiextension

import (
	"cmp"
	"slices"
	"sync"

	"github.com/aperture-collector/aperture-collector/internal/apertureapi"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// views are the registered live views. The zero value has none.
type views struct {
	mu   sync.RWMutex
	list []*registered
}

// registered gives every registration an identity of its own.
type registered struct{ apertureapi.LiveView }

func (v *views) add(view apertureapi.LiveView) (remove func()) {
	r := &registered{view}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.list = append(slices.Clip(v.list), r)
	return func() {
		v.mu.Lock()
		defer v.mu.Unlock()
		v.list = slices.DeleteFunc(slices.Clone(v.list), func(o *registered) bool { return o == r })
	}
}

// all returns the views; the slice is never changed.
func (v *views) all() []*registered {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.list
}

// recent returns up to limit of the newest batches, oldest first.
func (v *views) recent(tenant string, agentID *string, limit int) []apertureapi.BatchInfo {
	var out []apertureapi.BatchInfo
	for _, view := range v.all() {
		out = append(out, view.RecentBatches(tenant, agentID, limit)...)
	}
	return newest(out, limit)
}

// newest sorts batches by time of arrival and returns the last limit of them.
func newest(batches []apertureapi.BatchInfo, limit int) []apertureapi.BatchInfo {
	slices.SortStableFunc(batches, func(a, b apertureapi.BatchInfo) int {
		return cmp.Or(cmp.Compare(a.ReceivedAt, b.ReceivedAt), cmp.Compare(a.AgentID, b.AgentID), cmp.Compare(a.Sequence, b.Sequence))
	})
	return batches[max(len(batches)-limit, 0):]
}

// stats adds up the views; utilizations are those of the fullest.
func (v *views) stats() apertureapi.BufferStats {
	var sum apertureapi.BufferStats
	for _, view := range v.all() {
		s := view.BufferStats()
		sum.Batches += s.Batches
		sum.CapacityBatches += s.CapacityBatches
		sum.Bytes += s.Bytes
		sum.CapacityBytes += s.CapacityBytes
		sum.Dropped += s.Dropped
		sum.Utilization = max(sum.Utilization, s.Utilization)
		sum.QueueUtilization = max(sum.QueueUtilization, s.QueueUtilization)
	}
	return sum
}

func (v *views) queueUtilization() float64 {
	fullest := 0.0
	for _, view := range v.all() {
		fullest = max(fullest, view.BufferStats().QueueUtilization)
	}
	return fullest
}

// reader returns the profiles that a view keeps in memory, nil if none does.
func (v *views) reader() profilestore.Reader {
	for _, view := range v.all() {
		if r := view.Reader(); r != nil {
			return r
		}
	}
	return nil
}
