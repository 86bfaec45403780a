package chunk

// Selection is a set of profiles of a chunk. The zero value is ready for
// [Selection.Set].
type Selection struct {
	mask []int64 // -1 for those that are in, which makes sums free of branches
	n    int
}

// Set makes the selection that of the profiles for which include is true.
func (s *Selection) Set(c *Chunk, include func(profile int) bool) {
	s.mask, s.n = resize(s.mask, c.Profiles()), 0
	for i := range s.mask {
		s.mask[i] = 0
		if include(i) {
			s.mask[i] = -1
			s.n++
		}
	}
}

// Len returns the number of profiles in s.
func (s *Selection) Len() int { return s.n }

// of checks that s is a selection of profiles of c.
func (s *Selection) of(c *Chunk) error {
	if s != nil && len(s.mask) != c.Profiles() {
		return invalid("selection is of %d profiles; the chunk has %d", len(s.mask), c.Profiles())
	}
	return nil
}

// all reports whether no profile is left out.
func (s *Selection) all() bool { return s == nil || s.n == len(s.mask) }
