package diff

import (
	"hash/maphash"
	"math/bits"
	"strings"

	"github.com/aperture-collector/aperture-collector/internal/profile"
)

// seed is of this process, so that nobody can make stacks that only seem the same.
var seed = maphash.MakeSeed()

// symbols hashes stacks. Stacks of a merge share their frames, so that the hashes of
// frames are kept: a frame is in the slot of its address, the last one of a slot.
type symbols struct {
	frames [1 << cacheBits]struct {
		frame *profile.Frame
		hash  uint64
	}
}

const cacheBits = 14

// stack returns a hash of what makes stacks of different builds the same, and
// whether any frame has a function: a function and its module, by the base name,
// stay what they are when the program is built anew and its addresses and lines
// move. A frame without a function is its address in a build of its module.
func (s *symbols) stack(frames []*profile.Frame) (hash uint64, named bool) {
	for _, f := range frames {
		named = named || f.Function.Name != ""
		slot := &s.frames[f.Address*golden>>(64-cacheBits)]
		if slot.frame != f {
			slot.frame, slot.hash = f, frameHash(f)
		}
		hash = mix(hash, slot.hash)
	}
	return hash, named
}

func frameHash(f *profile.Frame) uint64 {
	hash := maphash.String(seed, f.Mapping[strings.LastIndexByte(f.Mapping, '/')+1:])
	if f.Function.Name != "" {
		return mix(hash, maphash.String(seed, f.Function.Name))
	}
	// The complement parts it from the hash of a name.
	return mix(mix(hash, ^maphash.String(seed, f.BuildID)), f.Address)
}

// golden is 2^64 by the golden ratio, which spreads consecutive numbers.
const golden = 0x9e3779b97f4a7c15

// mix adds v to a hash. Both halves of the product depend on all bits of both.
func mix(hash, v uint64) uint64 {
	hi, lo := bits.Mul64(hash^golden, v|1)
	return hi ^ lo + v
}
