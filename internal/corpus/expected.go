package corpus

import (
	"fmt"

	"github.com/cespare/xxhash/v2"
)

// Key is what the expected sums are told apart by.
type Key struct {
	Service, Kind, Type string
	Stack               uint64 // [StackKey]
}

// StackKey hashes a folded stack (XXH64), see [AppendFrame].
func StackKey(folded []byte) uint64 { return xxhash.Sum64(folded) }

// Sums are the values that a store must return for what was generated.
type Sums struct {
	ByKey map[Key]int64
	// Profiles, Samples (see the package comment) and Values count what was
	// generated; a value is a number that is not zero.
	Profiles, Samples, Values uint64
	// SamplesOf is Samples by kind.
	SamplesOf map[string]uint64
}

// NewSums returns empty sums.
func NewSums() *Sums { return &Sums{ByKey: make(map[Key]int64), SamplesOf: make(map[string]uint64)} }

// Merge adds o to s.
func (s *Sums) Merge(o *Sums) {
	for k, v := range o.ByKey {
		s.ByKey[k] += v
	}
	s.Profiles += o.Profiles
	s.Samples += o.Samples
	s.Values += o.Values
	for k, n := range o.SamplesOf {
		s.SamplesOf[k] += n
	}
}

// Stacks returns the number of different (service, kind, stack).
func (s *Sums) Stacks() int {
	seen := make(map[Key]struct{}, len(s.ByKey))
	for k := range s.ByKey {
		k.Type = ""
		seen[k] = struct{}{}
	}
	return len(seen)
}

// Compare returns an error that names the first few differences between what was
// expected and what a store has.
func (s *Sums) Compare(got map[Key]int64) error {
	const show = 3
	var text string
	differences := 0
	report := func(k Key, want, got int64) {
		if differences++; differences <= show {
			text += fmt.Sprintf("; %s %s %s stack %016x is %d instead of %d", k.Service, k.Kind, k.Type, k.Stack, got, want)
		}
	}
	for k, want := range s.ByKey {
		if got[k] != want {
			report(k, want, got[k])
		}
	}
	for k, v := range got {
		if _, ok := s.ByKey[k]; !ok {
			report(k, 0, v)
		}
	}
	if differences > 0 {
		return fmt.Errorf("compare %d sums: %d are wrong%s", len(s.ByKey), differences, text)
	}
	return nil
}
