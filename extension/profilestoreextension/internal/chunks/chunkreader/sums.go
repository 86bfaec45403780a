package chunkreader

import (
	"cmp"
	"math"
	"math/bits"
	"math/rand/v2"
	"slices"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/layout"
	"github.com/aperture-collector/aperture-collector/internal/profile"
)

// attributes are the sample attributes that the rows of a merge may be kept
// apart by. What is not asked for is zero.
type attributes struct {
	lock    uint64
	syscall int64
	bucket  uint8
	failed  uint8
}

// figures are the sums of some observations.
type figures struct {
	values [profile.MaxTypes]int64
	count  uint64
	lo, hi int64
}

// sums adds up observations by stack and attributes. It is an open hash table
// beside arrays: a merge looks up every entry of every row, most of them again
// and again, which takes half as long as in a map of Go.
type sums struct {
	stacks  []profile.ID
	attrs   []attributes // empty unless rows are kept apart by them
	figures []figures
	slots   []uint32 // index of the row plus 1, 0 where there is none
	seed    uint64
}

// minSlots is the least number of slots, a power of two.
const minSlots = 1 << 8

// newSums returns an empty table. Ids are hashes of content, which whoever sends
// profiles can choose: the seed keeps them from choosing who shares a slot.
func newSums() *sums { return &sums{seed: rand.Uint64() | 1} }

func (s *sums) len() int { return len(s.stacks) }

func (s *sums) hash(stack profile.ID) uint64 {
	hi, lo := bits.Mul64(stack.Lo^s.seed, stack.Hi^s.seed^0x9e3779b97f4a7c15)
	return hi ^ lo
}

// grow makes room for n more rows.
func (s *sums) grow(n int) {
	if want := len(s.stacks) + n; want > cap(s.figures) {
		// append would grow long slices by a quarter only.
		s.stacks, s.figures = slices.Grow(s.stacks, max(n, len(s.stacks))), slices.Grow(s.figures, max(n, len(s.figures)))
	}
	want := max(minSlots, len(s.slots))
	for want < 2*(len(s.stacks)+n) {
		want *= 2
	}
	if want == len(s.slots) {
		return
	}
	s.slots = make([]uint32, want)
	mask := uint64(want - 1)
	for i := range s.stacks {
		at := s.slotHash(i) & mask
		for s.slots[at] != 0 {
			at = (at + 1) & mask
		}
		s.slots[at] = uint32(i) + 1
	}
}

// reserve makes room for n rows in an empty table. Rows of one kind have about the
// same entries, so that the first says how many there will be.
func (s *sums) reserve(n int) {
	if len(s.stacks) == 0 {
		s.stacks, s.figures = make([]profile.ID, 0, n), make([]figures, 0, n)
		s.grow(n)
	}
}

func (s *sums) slotHash(i int) uint64 {
	if len(s.attrs) > 0 {
		return s.hash(s.stacks[i]) ^ s.attrs[i].hash(s.seed)
	}
	return s.hash(s.stacks[i])
}

func (a *attributes) hash(seed uint64) uint64 {
	hi, lo := bits.Mul64(a.lock^seed, 0x9e3779b97f4a7c15^uint64(a.syscall)<<16^uint64(a.bucket)<<8^uint64(a.failed)+seed)
	return hi ^ lo
}

// at returns the figures of a stack, for which grow has made room.
func (s *sums) at(stack profile.ID) *figures {
	mask := uint64(len(s.slots) - 1)
	for at := s.hash(stack) & mask; ; at = (at + 1) & mask {
		i := s.slots[at]
		if i == 0 {
			s.slots[at] = uint32(len(s.stacks)) + 1
			s.stacks = append(s.stacks, stack)
			return s.add()
		}
		if s.stacks[i-1] == stack {
			return &s.figures[i-1]
		}
	}
}

// atAttributes is at for rows that are kept apart by attributes. One table must
// not be used with both.
func (s *sums) atAttributes(stack profile.ID, a attributes) *figures {
	mask := uint64(len(s.slots) - 1)
	for at := (s.hash(stack) ^ a.hash(s.seed)) & mask; ; at = (at + 1) & mask {
		i := s.slots[at]
		if i == 0 {
			s.slots[at] = uint32(len(s.stacks)) + 1
			s.stacks = append(s.stacks, stack)
			s.attrs = append(s.attrs, a)
			return s.add()
		}
		if s.stacks[i-1] == stack && s.attrs[i-1] == a {
			return &s.figures[i-1]
		}
	}
}

func (s *sums) add() *figures {
	s.figures = append(s.figures, figures{lo: layout.NoMinimum, hi: layout.NoMaximum})
	return &s.figures[len(s.figures)-1]
}

// of returns the attributes of a row, zero where they are not kept.
func (s *sums) of(i int) attributes {
	if len(s.attrs) == 0 {
		return attributes{}
	}
	return s.attrs[i]
}

// top returns the rows with the largest first values, at most limit: the largest
// first, equal ones by what tells them apart.
func (s *sums) top(limit int) []int32 {
	// What is compared most lies beside the index: figures are six times as large.
	type ref struct {
		value int64
		stack uint64
		row   int32
	}
	refs := make([]ref, 0, min(2*limit, len(s.stacks)))
	least := s.threshold(limit)
	for i := range s.stacks {
		if v := s.figures[i].values[0]; v >= least {
			refs = append(refs, ref{v, s.stacks[i].Hi, int32(i)})
		}
	}
	slices.SortFunc(refs, func(a, b ref) int {
		switch {
		case a.value != b.value:
			return cmp.Compare(b.value, a.value)
		case a.stack != b.stack:
			return cmp.Compare(a.stack, b.stack)
		}
		if c := s.stacks[a.row].Compare(s.stacks[b.row]); c != 0 {
			return c
		}
		x, y := s.of(int(a.row)), s.of(int(b.row))
		return x.compare(&y)
	})
	out := make([]int32, min(limit, len(refs)))
	for i := range out {
		out[i] = refs[i].row
	}
	return out
}

// threshold returns a value that the limit largest first values reach, or the
// least there is. Most rows are below it, and need not be sorted.
func (s *sums) threshold(limit int) int64 {
	if len(s.figures) < 2*limit || limit == 0 {
		return math.MinInt64
	}
	values := make([]int64, len(s.figures))
	for i := range s.figures {
		values[i] = s.figures[i].values[0]
	}
	// Quickselect, from the largest on.
	for lo, hi := 0, len(values)-1; lo < hi; {
		pivot, i, j := values[lo+(hi-lo)/2], lo, hi
		for i <= j {
			for values[i] > pivot {
				i++
			}
			for values[j] < pivot {
				j--
			}
			if i <= j {
				values[i], values[j] = values[j], values[i]
				i, j = i+1, j-1
			}
		}
		switch {
		case limit-1 <= j:
			hi = j
		case limit-1 >= i:
			lo = i
		default:
			return values[limit-1]
		}
	}
	return values[limit-1]
}

func (a *attributes) compare(o *attributes) int {
	return cmp.Or(
		cmp.Compare(a.lock, o.lock), cmp.Compare(a.syscall, o.syscall),
		cmp.Compare(a.bucket, o.bucket), cmp.Compare(a.failed, o.failed),
	)
}

// total sums all rows, and those without a stack.
func (s *sums) total() (all, stackless figures) {
	for i, stack := range s.stacks {
		all.add(&s.figures[i])
		if stack.IsZero() {
			stackless.add(&s.figures[i])
		}
	}
	return all, stackless
}
