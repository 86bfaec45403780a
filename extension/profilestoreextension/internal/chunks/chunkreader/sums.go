package chunkreader

import (
	"cmp"
	"math"
	"math/bits"
	"math/rand/v2"
	"slices"

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

// sums adds up observations by stack and attributes. It is an open hash table
// beside arrays: a merge looks up every entry of every row, most of them again
// and again, which takes half as long as in a map of Go.
type sums struct {
	table
	stacks []profile.ID
	attrs  []attributes // empty unless rows are kept apart by them
	slots  []uint32     // index of the row plus 1, 0 where there is none
	placed int          // rows that are in slots, the first ones
	seed   uint64
}

// minSlots is the least number of slots, a power of two.
const minSlots = 1 << 8

// newSums returns an empty table of rows with so many values. Ids are hashes of
// content, which whoever sends profiles can choose: the seed keeps them from choosing
// who shares a slot.
func newSums(types int) *sums { return &sums{table: newTable(types), seed: rand.Uint64() | 1} }

func (s *sums) len() int { return len(s.stacks) }

func (s *sums) hash(stack profile.ID) uint64 {
	hi, lo := bits.Mul64(stack.Lo^s.seed, stack.Hi^s.seed^0x9e3779b97f4a7c15)
	return hi ^ lo
}

// grow makes room for n more rows, and finds those that are there.
func (s *sums) grow(n int) {
	s.reserve(n)
	if want := len(s.stacks) + n; want > cap(s.stacks) {
		s.stacks = slices.Grow(s.stacks, max(n, len(s.stacks)))
	}
	want := max(minSlots, len(s.slots))
	for want < 2*(len(s.stacks)+n) {
		want *= 2
	}
	if want != len(s.slots) {
		s.slots, s.placed = make([]uint32, want), 0
	}
	mask := uint64(want - 1)
	for ; s.placed < len(s.stacks); s.placed++ {
		at := s.slotHash(s.placed) & mask
		for s.slots[at] != 0 {
			at = (at + 1) & mask
		}
		s.slots[at] = uint32(s.placed) + 1
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

// row returns the row of a stack, for which grow has made room.
func (s *sums) row(stack profile.ID) int {
	mask := uint64(len(s.slots) - 1)
	for at := s.hash(stack) & mask; ; at = (at + 1) & mask {
		i := s.slots[at]
		if i == 0 {
			s.stacks = append(s.stacks, stack)
			s.placed++
			s.slots[at] = uint32(s.placed)
			return s.push()
		}
		if s.stacks[i-1] == stack {
			return int(i - 1)
		}
	}
}

// rowOf is row for rows that are kept apart by attributes. One table must not be used
// with both.
func (s *sums) rowOf(stack profile.ID, a attributes) int {
	mask := uint64(len(s.slots) - 1)
	for at := (s.hash(stack) ^ a.hash(s.seed)) & mask; ; at = (at + 1) & mask {
		i := s.slots[at]
		if i == 0 {
			s.stacks = append(s.stacks, stack)
			s.attrs = append(s.attrs, a)
			s.placed++
			s.slots[at] = uint32(s.placed)
			return s.push()
		}
		if s.stacks[i-1] == stack && s.attrs[i-1] == a {
			return int(i - 1)
		}
	}
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
	refs := make([]ref, 0, min(2*limit, len(s.stacks)))
	least := s.threshold(limit)
	for i := range s.stacks {
		if v := s.value(0, i); v >= least {
			refs = append(refs, ref{v, s.stacks[i].Hi, int32(i)})
		}
	}
	refs = sortRefs(refs, func(a, b ref) int {
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
	if s.n < 2*limit || limit == 0 {
		return math.MinInt64
	}
	values := slices.Clone(s.values[0])
	if s.carries[0] != nil {
		for i := range values {
			values[i] = s.value(0, i)
		}
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
	none := newTable(s.types)
	none.extend(1)
	for i, stack := range s.stacks {
		if stack.IsZero() {
			none.addRow(0, &s.table, i)
		}
	}
	return s.table.total(), none.at(0)
}
