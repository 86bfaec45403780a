package chunkrow

import (
	"cmp"

	"github.com/ClickHouse/ch-go/proto"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/layout"
	"github.com/aperture-collector/aperture-collector/internal/profile"
)

// EntryKey is what values of a row are kept apart by.
type EntryKey struct {
	Stack, Set profile.ID
	Lock       uint64
	// Syscall is layout.NoSyscall for none.
	Syscall       int64
	Bucket, Error uint8
}

// Compare orders keys as rows have them.
func (k *EntryKey) Compare(other *EntryKey) int {
	if c := k.Stack.Compare(other.Stack); c != 0 {
		return c
	}
	return k.CompareAttributes(other)
}

// CompareAttributes is Compare for keys of the same stack.
func (k *EntryKey) CompareAttributes(other *EntryKey) int {
	if c := k.Set.Compare(other.Set); c != 0 {
		return c
	}
	return cmp.Or(
		cmp.Compare(k.Lock, other.Lock),
		cmp.Compare(k.Syscall, other.Syscall),
		cmp.Compare(k.Bucket, other.Bucket),
		cmp.Compare(k.Error, other.Error),
	)
}

// EntryKeys are the keys of the entries of a row as the table has them: an array
// of each field, in strictly ascending order of the keys. All but Stacks are empty
// if all their elements are the usual one: 0, and layout.NoSyscall in Syscalls.
type EntryKeys struct {
	Stacks, Sets    []proto.UInt128
	Locks           []uint64
	Syscalls        []int64
	Buckets, Errors []uint8
}

// Len returns the number of keys.
func (k *EntryKeys) Len() int { return len(k.Stacks) }

// At returns the key of an entry.
func (k *EntryKeys) At(i int) EntryKey {
	key := EntryKey{Stack: layout.FromID(k.Stacks[i]), Syscall: layout.NoSyscall}
	if len(k.Sets) > 0 {
		key.Set = layout.FromID(k.Sets[i])
	}
	if len(k.Locks) > 0 {
		key.Lock = k.Locks[i]
	}
	if len(k.Syscalls) > 0 {
		key.Syscall = k.Syscalls[i]
	}
	if len(k.Buckets) > 0 {
		key.Bucket = k.Buckets[i]
	}
	if len(k.Errors) > 0 {
		key.Error = k.Errors[i]
	}
	return key
}

// Plain reports whether the keys are stacks and nothing else.
func (k *EntryKeys) Plain() bool {
	return len(k.Sets)+len(k.Locks)+len(k.Syscalls)+len(k.Buckets)+len(k.Errors) == 0
}

// Reset forgets all keys and keeps the memory.
func (k *EntryKeys) Reset() {
	k.Stacks, k.Sets, k.Locks = k.Stacks[:0], k.Sets[:0], k.Locks[:0]
	k.Syscalls, k.Buckets, k.Errors = k.Syscalls[:0], k.Buckets[:0], k.Errors[:0]
}

// Append adds a key. Keys must come in ascending order.
func (k *EntryKeys) Append(key *EntryKey) {
	n := len(k.Stacks)
	k.Stacks = append(k.Stacks, layout.ID(key.Stack))
	k.Sets = appendUnusual(k.Sets, n, layout.ID(key.Set), proto.UInt128{})
	k.Locks = appendUnusual(k.Locks, n, key.Lock, 0)
	k.Syscalls = appendUnusual(k.Syscalls, n, key.Syscall, layout.NoSyscall)
	k.Buckets = appendUnusual(k.Buckets, n, key.Bucket, 0)
	k.Errors = appendUnusual(k.Errors, n, key.Error, 0)
}

// appendUnusual appends the element behind n others, which are usual if s is empty.
func appendUnusual[T comparable](s []T, n int, v, usual T) []T {
	if len(s) == 0 {
		if v == usual {
			return s
		}
		for range n {
			s = append(s, usual)
		}
	}
	return append(s, v)
}
