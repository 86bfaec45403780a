package unwind

import (
	"math/bits"
	"slices"
)

const (
	// blockRows is the unit in which rows are allocated.
	blockRows   = 1024
	chunkBlocks = ChunkRows / blockRows // one bit each in a word
)

// run is a sequence of blocks of one chunk that belongs to a table.
type run struct{ chunk, block, blocks int }

func (r run) mask() uint64 {
	return (^uint64(0) >> (chunkBlocks - r.blocks)) << r.block
}

// findRun returns the first n consecutive set bits of free.
func findRun(free uint64, n int) (int, bool) {
	// Bit i of acc says that bits i to i+have-1 are set.
	acc := free
	for have := 1; have < n && acc != 0; {
		step := min(have, n-have)
		acc &= acc >> step
		have += step
	}
	if acc == 0 {
		return 0, false
	}
	return bits.TrailingZeros64(acc), true
}

// span is a range of page entries.
type span struct{ base, count uint32 }

// spans are the free ranges of page entries, sorted, never adjacent.
type spans []span

// take allocates n consecutive entries, first fit.
func (s *spans) take(n uint32) (uint32, bool) {
	for i, f := range *s {
		if f.count < n {
			continue
		}
		if f.count == n {
			*s = slices.Delete(*s, i, i+1)
		} else {
			(*s)[i] = span{f.base + n, f.count - n}
		}
		return f.base, true
	}
	return 0, false
}

// give returns what take gave.
func (s *spans) give(f span) {
	if f.count == 0 {
		return
	}
	i, _ := slices.BinarySearchFunc(*s, f, func(a, b span) int { return int(a.base) - int(b.base) })
	*s = slices.Insert(*s, i, f)
	if i+1 < len(*s) && f.base+f.count == (*s)[i+1].base {
		(*s)[i].count += (*s)[i+1].count
		*s = slices.Delete(*s, i+1, i+2)
	}
	if i > 0 && (*s)[i-1].base+(*s)[i-1].count == f.base {
		(*s)[i-1].count += (*s)[i].count
		*s = slices.Delete(*s, i, i+1)
	}
}

// free counts free entries.
func (s spans) free() int {
	n := 0
	for _, f := range s {
		n += int(f.count)
	}
	return n
}
