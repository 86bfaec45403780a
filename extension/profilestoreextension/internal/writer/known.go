package writer

import (
	"encoding/binary"
	"hash/maphash"
	"math/bits"
	"math/rand/v2"
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
	secret  uint64
	refresh int64

	mu         sync.Mutex
	young, old keyTable // when written, Unix seconds
	max        int      // entries of one generation
}

type knownKey uint64

// NewKnown returns a cache of at most size entries (about 20 bytes each) that
// are good for refresh seconds.
func NewKnown(size int, refresh int64) *Known {
	return &Known{seed: maphash.MakeSeed(), secret: rand.Uint64(), max: max(size/2, 1), refresh: refresh}
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

// key is never 0. Ids are hashes already; what is secret keeps others from choosing
// some that have one key.
func (k *Known) key(scope uint64, id profile.ID) knownKey {
	hi, lo := bits.Mul64(id.Lo^scope, id.Hi^k.secret)
	hi, lo = bits.Mul64(hi^lo^id.Lo, scope|1)
	return knownKey(max(hi^lo, 1))
}

// has reports whether key was written not longer than refresh ago. The caller
// holds the lock.
func (k *Known) has(key knownKey, now int64) bool {
	if t, ok := k.young.get(key); ok {
		return now-int64(t) < k.refresh
	}
	t, ok := k.old.get(key)
	if !ok || now-int64(t) >= k.refresh {
		return false
	}
	k.put(key, t)
	return true
}

func (k *Known) put(key knownKey, t uint32) {
	if k.young.n >= k.max {
		k.old, k.young = k.young, k.old
		k.young.clear()
	}
	k.young.put(key, t)
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
	k.young, k.old = keyTable{}, keyTable{}
}

// Len returns the number of entries.
func (k *Known) Len() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.young.n + k.old.n
}
