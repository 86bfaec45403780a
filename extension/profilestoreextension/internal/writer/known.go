package writer

import (
	"encoding/binary"
	"hash/maphash"
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
//
// Keys are 64 bits, which halves the memory. A row would be taken for written by
// mistake once in 2^64/size rows; the seed is drawn at random, so nobody can look
// for such a row.
type Known struct {
	seed    maphash.Seed
	refresh int64

	mu         sync.Mutex
	young, old map[knownKey]uint32 // when written, Unix seconds
	max        int                 // entries of one generation
}

type knownKey uint64

// NewKnown returns a cache of at most size entries (about 25 bytes each) that
// are good for refresh seconds.
func NewKnown(size int, refresh int64) *Known {
	return &Known{
		seed: maphash.MakeSeed(), young: make(map[knownKey]uint32),
		max: max(size/2, 1), refresh: refresh,
	}
}

// scope returns what distinguishes the ids of a table, tenant and service from
// equal ones of others.
func (k *Known) scope(table, tenant, service string) uint64 {
	var h maphash.Hash
	h.SetSeed(k.seed)
	for _, s := range [...]string{table, tenant, service} {
		_ = binary.Write(&h, binary.LittleEndian, uint64(len(s))) // never fails
		_, _ = h.WriteString(s)
	}
	return h.Sum64()
}

func (k *Known) key(scope uint64, id profile.ID) knownKey {
	return knownKey(maphash.Comparable(k.seed, [3]uint64{scope, id.Hi, id.Lo}))
}

// has reports whether key was written not longer than refresh ago. The caller
// holds the lock.
func (k *Known) has(key knownKey, now int64) bool {
	if t, ok := k.young[key]; ok {
		return now-int64(t) < k.refresh
	}
	t, ok := k.old[key]
	if !ok || now-int64(t) >= k.refresh {
		return false
	}
	k.put(key, t)
	return true
}

func (k *Known) put(key knownKey, t uint32) {
	if len(k.young) >= k.max {
		k.old, k.young = k.young, make(map[knownKey]uint32)
	}
	k.young[key] = t
}

// add notes that keys were written at time now (Unix seconds).
func (k *Known) add(keys []knownKey, now int64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, key := range keys {
		k.put(key, uint32(now))
	}
}

// Clear forgets everything, for when the tables may have been lost.
func (k *Known) Clear() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.young, k.old = make(map[knownKey]uint32), nil
}

// Len returns the number of entries.
func (k *Known) Len() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.young) + len(k.old)
}
