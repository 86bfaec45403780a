package unwind

import (
	"bytes"
	"fmt"
	"math"
)

// cie is a common information entry, which functions share.
type cie struct {
	codeAlign uint64
	dataAlign int64
	ra        uint64 // the column of the return address
	enc       byte   // of addresses
	augmented bool   // FDEs have augmentation data
	initial   state  // its flags are set before it is computed
}

// entry is an entry of the section, CIE or FDE.
type entry struct {
	off  uint64 // of the entry
	body []byte // from behind the CIE pointer
	at   uint64 // offset of the body
	id   uint64 // the CIE pointer
	idAt uint64 // its offset
	end  uint64 // offset of the next entry
	// cie is true for a CIE.
	cie bool
}

// frames is .eh_frame or .debug_frame, which differ in how an FDE refers to its
// CIE.
type frames struct {
	section
	debug bool
	bases bases
}

// entry reads the one at off. A zero length (ok is false without error) ends
// .eh_frame, but linkers may leave it in the middle.
func (f *frames) entry(off uint64) (e entry, ok bool, err error) {
	b, ok := sub(f.data, off, 4)
	if !ok {
		return e, false, errCut
	}
	size, head, word := uint64(le.Uint32(b)), uint64(4), uint64(4)
	if size == 0 {
		return entry{off: off, end: off + 4}, false, nil
	}
	if size == math.MaxUint32 { // 64-bit DWARF
		if b, ok = sub(f.data, off+4, 8); !ok {
			return e, false, errCut
		}
		size, head, word = le.Uint64(b), 12, 8
	} else if size > 0xfffffff0 {
		return e, false, fmt.Errorf("length %#x is reserved", size)
	}
	b, ok = sub(f.data, off+head, size)
	if !ok || size < word {
		return e, false, fmt.Errorf("length %d at offset %d of %d: %w", size, off, len(f.data), errCut)
	}
	e = entry{off: off, body: b[word:], at: off + head + word, idAt: off + head, end: off + head + size}
	none := uint64(0)
	if f.debug {
		none = math.MaxUint32
	}
	if word == 8 {
		e.id = le.Uint64(b)
		if f.debug {
			none = math.MaxUint64
		}
	} else {
		e.id = uint64(le.Uint32(b))
	}
	e.cie = e.id == none
	return e, true, nil
}

// cieOffset returns where the CIE of an FDE is.
func (f *frames) cieOffset(e *entry) uint64 {
	if f.debug {
		return e.id
	}
	return e.idAt - e.id // may wrap around: entry fails then
}

// parseCIE reads a CIE. The initial instructions are not run: they are returned
// with their offset.
func parseCIE(e *entry) (*cie, []byte, uint64, error) {
	c := cursor{b: e.body}
	version := c.u8()
	if version != 1 && version != 3 && version != 4 {
		return nil, nil, 0, fmt.Errorf("CIE version %d is unknown", version)
	}
	n := bytes.IndexByte(c.b[c.i:], 0)
	if n < 0 {
		return nil, nil, 0, errCut
	}
	augmentation := c.take(uint64(n))
	c.u8()
	if string(augmentation) == "eh" {
		c.u64() // pointer to exception tables of old GCC
		augmentation = nil
	}
	if version == 4 {
		if size, seg := c.u8(), c.u8(); size != 8 || seg != 0 {
			return nil, nil, 0, fmt.Errorf("CIE has addresses of %d bytes, segments of %d; want 8 and 0", size, seg)
		}
	}
	ci := &cie{codeAlign: c.uleb(), dataAlign: c.sleb(), enc: encAbsPtr}
	if version == 1 {
		ci.ra = uint64(c.u8())
	} else {
		ci.ra = c.uleb()
	}
	if len(augmentation) > 0 {
		if err := ci.augment(augmentation, &c); err != nil {
			return nil, nil, 0, err
		}
	}
	if c.bad {
		return nil, nil, 0, errCut
	}
	if ci.codeAlign == 0 || ci.codeAlign > 256 || ci.dataAlign < -256 || ci.dataAlign > 256 {
		return nil, nil, 0, fmt.Errorf("CIE alignments %d and %d are not within 1 to 256, -256 to 256", ci.codeAlign, ci.dataAlign)
	}
	return ci, c.b[c.i:], e.at + uint64(c.i), nil
}

// augment reads the augmentation data.
func (ci *cie) augment(augmentation []byte, c *cursor) error {
	if ci.augmented = augmentation[0] == 'z'; !ci.augmented {
		// Without a size of the data only what has none is understood; assemblers
		// write "S" in .debug_frame.
		for _, a := range augmentation {
			if !ci.flag(a) {
				return fmt.Errorf("CIE augmentation %.16q is unknown", augmentation)
			}
		}
		return nil
	}
	data := cursor{b: c.take(c.uleb())}
	for _, a := range augmentation[1:] {
		switch a {
		case 'R':
			ci.enc = data.u8()
		case 'P':
			enc := data.u8()
			if enc == encOmit {
				break
			}
			if _, err := data.value(enc); err != nil {
				return fmt.Errorf("CIE personality: %w", err)
			}
		case 'L':
			data.u8()
		default:
			if !ci.flag(a) {
				// The size of what is unknown is unknown, but that of all is known.
				return nil
			}
		}
	}
	if data.bad {
		return errCut
	}
	if ci.enc == encOmit {
		return fmt.Errorf("CIE omits addresses")
	}
	return nil
}

// flag handles an augmentation without data, and returns whether it is known.
func (ci *cie) flag(a byte) bool {
	switch a {
	case 'S':
		ci.initial.kind |= flagSignal
	case 'B', 'G': // keys and tags of AArch64's pointer protection
	default:
		return false
	}
	return true
}
