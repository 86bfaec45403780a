package unwind

import (
	"fmt"
	"math"
	"slices"
)

const (
	// maxFDEs bounds the index of a section that has none: 8 bytes each. The
	// largest programs have about a million.
	maxFDEs = 4 << 20
	// maxCIEs bounds the cache of CIEs; linkers merge equal ones.
	maxCIEs = 4096
	// hdrSamples of an index made by the linker are compared with the section.
	hdrSamples = 64
)

// index lists the FDEs of a section in the order of their addresses.
type index struct {
	// Either the binary search table of .eh_frame_hdr: pairs of signed 32-bit
	// offsets from base, of the function and of its FDE,
	table []byte
	base  uint64 // address of .eh_frame_hdr
	frame uint64 // address of .eh_frame
	// or one that was made here: offset of the function from base, and of the FDE
	// in the section, 32 bits each.
	made []uint64

	n         int
	malformed int // functions that could not be read
}

// at returns the address of function i and the offset of its FDE in the section.
func (x *index) at(i int) (addr, off uint64) {
	if x.table != nil {
		p := x.table[8*i : 8*i+8]
		addr = x.base + uint64(int32(le.Uint32(p)))
		return addr, x.base + uint64(int32(le.Uint32(p[4:]))) - x.frame
	}
	v := x.made[i]
	return x.base + v>>32, v & math.MaxUint32
}

// hdrIndex reads the binary search table of .eh_frame_hdr. It returns false if
// there is none that can be trusted.
func hdrIndex(hdr section, f *frames, fdes *fdeReader) (index, bool) {
	h := hdr.data
	// Version, encodings of the pointer to .eh_frame, of the count, of the table.
	if f.debug || len(h) < 4 || h[0] != 1 || h[3] != encDataRel|encSData4 || h[2] == encOmit {
		return index{}, false
	}
	c := cursor{b: h, i: 4}
	b := bases{section: hdr.addr, data: hdr.addr, hasData: true}
	frame, err := c.pointer(h[1], &b, 0)
	if err != nil || frame != f.addr {
		return index{}, false
	}
	n, err := c.pointer(h[2], &b, 0)
	if err != nil || n == 0 || n > uint64(len(h)-c.i)/8 {
		return index{}, false
	}
	x := index{table: h[c.i:], base: hdr.addr, frame: frame, n: int(n)}
	last := int32(math.MinInt32)
	for i := range x.n {
		v := int32(le.Uint32(x.table[8*i:]))
		if v < last {
			return index{}, false
		}
		last = v
	}
	for i := 0; i < x.n; i += 1 + x.n/hdrSamples {
		addr, off := x.at(i)
		fde, err := fdes.read(off)
		if err != nil || fde.start != addr {
			return index{}, false
		}
	}
	return x, true
}

// scanIndex makes an index of the FDEs from lo to hi by reading the whole section.
// What is more than 4 GiB behind lo is left out. It stops at what is broken.
func scanIndex(f *frames, fdes *fdeReader, lo, hi uint64) (index, error) {
	if len(f.data) > math.MaxUint32 {
		return index{}, fmt.Errorf("read call frame information: section of %d bytes, limit %d", len(f.data), uint64(math.MaxUint32))
	}
	x := index{base: lo}
	for off := uint64(0); off < uint64(len(f.data)); {
		e, ok, err := f.entry(off)
		if err != nil {
			if len(x.made) == 0 {
				return x, fmt.Errorf("read call frame information: entry at offset %d: %w", off, err)
			}
			break
		}
		if ok && !e.cie {
			switch fde, err := fdes.read(off); {
			case err != nil:
				x.malformed++
			case fde.start >= lo && fde.start < min(hi, lo+math.MaxUint32) && fde.size > 0:
				if len(x.made) == maxFDEs {
					return x, fmt.Errorf("read call frame information: more than %d functions", maxFDEs)
				}
				x.made = append(x.made, (fde.start-lo)<<32|off)
			}
		}
		off = e.end
	}
	slices.Sort(x.made)
	x.n = len(x.made)
	return x, nil
}

// fde is the description of a function.
type fde struct {
	start, size uint64
	cie         *cie
	code        []byte
	codeAt      uint64 // offset of code in the section
}

// fdeReader reads FDEs and remembers their CIEs.
type fdeReader struct {
	frames  *frames
	machine *machine
	cies    map[uint64]*cie
	last    *cie
	lastAt  uint64
	// work is what may still be interpreted, in bytes: entries may be shared by
	// functions, so that a hostile file could have few that are long, and many
	// functions.
	work int64
}

var errWork = fmt.Errorf("functions share more instructions than real programs do")

// read reads the FDE at an offset of the section.
func (r *fdeReader) read(off uint64) (fde, error) {
	e, ok, err := r.frames.entry(off)
	if err != nil {
		return fde{}, err
	}
	if !ok || e.cie {
		return fde{}, fmt.Errorf("no FDE at offset %d", off)
	}
	ci, err := r.cie(r.frames.cieOffset(&e))
	if err != nil {
		return fde{}, err
	}
	c := cursor{b: e.body}
	d := fde{cie: ci}
	if d.start, err = c.pointer(ci.enc, &r.frames.bases, e.at); err != nil {
		return fde{}, err
	}
	if d.size, err = c.value(ci.enc); err != nil {
		return fde{}, err
	}
	if d.start >= maxAddress || d.size > maxAddress {
		return fde{}, fmt.Errorf("function at %#x of %d bytes is beyond the address limit %#x", d.start, d.size, uint64(maxAddress))
	}
	if ci.augmented {
		c.take(c.uleb())
	}
	if c.bad {
		return fde{}, errCut
	}
	d.code, d.codeAt = c.b[c.i:], e.at+uint64(c.i)
	return d, nil
}

// cie returns the CIE at an offset of the section.
func (r *fdeReader) cie(off uint64) (*cie, error) {
	if r.last != nil && r.lastAt == off {
		return r.last, nil
	}
	ci, ok := r.cies[off]
	if !ok {
		e, ok, err := r.frames.entry(off)
		if err != nil {
			return nil, err
		}
		if !ok || !e.cie {
			return nil, fmt.Errorf("no CIE at offset %d", off)
		}
		if err := r.spend(len(e.body)); err != nil {
			return nil, err
		}
		var code []byte
		var at uint64
		if ci, code, at, err = parseCIE(&e); err != nil {
			return nil, err
		}
		s := ci.initial
		s.setCFA(KindUnsupported, 0, 0)
		if _, err := r.machine.run(code, at, ci, &s, 0, 0); err != nil {
			return nil, fmt.Errorf("initial instructions: %w", err)
		}
		ci.initial = s
		if len(r.cies) >= maxCIEs {
			clear(r.cies)
		}
		r.cies[off] = ci
	}
	r.last, r.lastAt = ci, off
	return ci, nil
}

// spend accounts for the interpretation of n bytes.
func (r *fdeReader) spend(n int) error {
	r.work -= int64(n) + 1
	if r.work < 0 {
		return errWork
	}
	return nil
}
