package writer

import (
	"sync"

	"github.com/aperture-collector/aperture-collector/internal/profile"
)

// Known remembers what has been written to the dictionary tables, so that it is
// not sent again with every window. It is bounded, and forgetting is harmless:
// the row is written once more.
//
// Entries live in two generations. When the younger is full it becomes the
// older and what was in that is forgotten; entries that are used move to the
// younger. That approximates LRU without a list to maintain.
type Known struct {
	mu         sync.Mutex
	young, old map[profile.ID]int64
	max        int // entries of one generation
	refresh    int64
}

// NewKnown returns a cache of at most size entries (about 50 bytes each) that
// are good for refresh seconds.
func NewKnown(size int, refresh int64) *Known {
	return &Known{young: make(map[profile.ID]int64), max: max(size/2, 1), refresh: refresh}
}

// scoped returns the key of id in a table and scope.
func scoped(scope, id profile.ID) profile.ID {
	return profile.ID{Hi: scope.Hi ^ id.Hi, Lo: scope.Lo + id.Lo}
}

// has reports whether key was written not longer than refresh ago. The caller
// holds the lock.
func (k *Known) has(key profile.ID, now int64) bool {
	if t, ok := k.young[key]; ok {
		return now-t < k.refresh
	}
	t, ok := k.old[key]
	if !ok || now-t >= k.refresh {
		return false
	}
	k.put(key, t)
	return true
}

func (k *Known) put(key profile.ID, t int64) {
	if len(k.young) >= k.max {
		k.old, k.young = k.young, make(map[profile.ID]int64, k.max)
	}
	k.young[key] = t
}

// add notes that keys were written at time now (Unix seconds).
func (k *Known) add(keys []profile.ID, now int64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, key := range keys {
		k.put(key, now)
	}
}

// Clear forgets everything, for when the tables may have been lost.
func (k *Known) Clear() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.young, k.old = make(map[profile.ID]int64), nil
}

// Len returns the number of entries.
func (k *Known) Len() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.young) + len(k.old)
}
