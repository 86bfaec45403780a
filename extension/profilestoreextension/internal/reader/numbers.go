package reader

import (
	"slices"

	"github.com/aperture-collector/aperture-collector/internal/profile"
)

// StackNumbers numbers stacks in the order they are first met.
type StackNumbers struct {
	// IDs are the stacks by number.
	IDs []profile.ID
	// Unique is true if every stack is met once only; no map is needed then.
	Unique bool
	known  map[profile.ID]int32
}

// Grow makes room for n more stacks.
func (s *StackNumbers) Grow(n int) {
	s.IDs = slices.Grow(s.IDs, n)
	if !s.Unique && s.known == nil {
		s.known = make(map[profile.ID]int32, n)
	}
}

// Number returns the number of a stack. Grow must have been called.
func (s *StackNumbers) Number(id profile.ID) int32 {
	n := int32(len(s.IDs))
	if !s.Unique {
		if i, ok := s.known[id]; ok {
			return i
		}
		s.known[id] = n
	}
	s.IDs = append(s.IDs, id)
	return n
}
