package unwind

import (
	"encoding/binary"
	"fmt"
)

var le = binary.LittleEndian

// sub returns size bytes of b from off, or false if they are not all there.
func sub(b []byte, off, size uint64) ([]byte, bool) {
	if off > uint64(len(b)) || size > uint64(len(b))-off {
		return nil, false
	}
	return b[off : off+size : off+size], true
}

// cursor reads from b. After a read beyond the end bad is true, and everything
// read is zero.
type cursor struct {
	b   []byte
	i   int
	bad bool
}

func (c *cursor) u8() byte {
	if c.i < len(c.b) {
		v := c.b[c.i]
		c.i++
		return v
	}
	c.bad = true
	return 0
}

// take returns the next n bytes.
func (c *cursor) take(n uint64) []byte {
	if c.bad || n > uint64(len(c.b)-c.i) {
		c.bad, c.i = true, len(c.b)
		return nil
	}
	c.i += int(n)
	return c.b[c.i-int(n) : c.i : c.i]
}

func (c *cursor) u16() uint16 {
	if b := c.take(2); len(b) == 2 {
		return le.Uint16(b)
	}
	return 0
}

func (c *cursor) u32() uint32 {
	if b := c.take(4); len(b) == 4 {
		return le.Uint32(b)
	}
	return 0
}

func (c *cursor) u64() uint64 {
	if b := c.take(8); len(b) == 8 {
		return le.Uint64(b)
	}
	return 0
}

// uleb reads an unsigned LEB128 number. Bits beyond 64 are an error.
func (c *cursor) uleb() uint64 {
	if c.i < len(c.b) && c.b[c.i] < 0x80 {
		c.i++
		return uint64(c.b[c.i-1])
	}
	return c.longULEB()
}

func (c *cursor) longULEB() uint64 {
	var v uint64
	for shift := uint(0); shift < 64; shift += 7 {
		b := c.u8()
		v |= uint64(b&0x7f) << shift
		if b < 0x80 {
			return v
		}
	}
	c.bad = true
	return 0
}

// sleb reads a signed LEB128 number.
func (c *cursor) sleb() int64 {
	var v int64
	for shift := uint(0); shift < 64; {
		b := c.u8()
		v |= int64(b&0x7f) << shift
		shift += 7
		if b < 0x80 {
			if shift < 64 && b&0x40 != 0 {
				v |= -1 << shift
			}
			return v
		}
	}
	c.bad = true
	return 0
}

// Pointer encodings of the Linux Standard Base, chapter 10.5.
const (
	encAbsPtr  = 0x00
	encULEB    = 0x01
	encUData2  = 0x02
	encUData4  = 0x03
	encUData8  = 0x04
	encSLEB    = 0x09
	encSData2  = 0x0a
	encSData4  = 0x0b
	encSData8  = 0x0c
	encPCRel   = 0x10
	encTextRel = 0x20
	encDataRel = 0x30
	encFuncRel = 0x40
	encAligned = 0x50
	encMask    = 0x70
	encOmit    = 0xff
)

// bases are what encoded pointers may be relative to. Their own address is that
// of the section plus the offset in it.
type bases struct {
	section    uint64
	text, data uint64
	hasText    bool
	hasData    bool
}

// pointer reads an encoded pointer; off is where c.b begins in its section.
// Indirect ones give the address of the pointer.
func (c *cursor) pointer(enc byte, b *bases, off uint64) (uint64, error) {
	var base uint64
	switch enc & encMask {
	case encAbsPtr:
	case encPCRel:
		base = b.section + off + uint64(c.i)
	case encAligned:
		at := b.section + off + uint64(c.i)
		c.take(-at & 7)
		enc = encAbsPtr
	case encTextRel:
		if !b.hasText {
			return 0, fmt.Errorf("pointer encoding %#x, but there is no section .text", enc)
		}
		base = b.text
	case encDataRel:
		if !b.hasData {
			return 0, fmt.Errorf("pointer encoding %#x is not supported here", enc)
		}
		base = b.data
	default: // encFuncRel is for landing pads only
		return 0, fmt.Errorf("pointer encoding %#x is unknown", enc)
	}
	v, err := c.value(enc)
	return v + base, err
}

// value reads a number in the format of an encoding.
func (c *cursor) value(enc byte) (uint64, error) {
	var v uint64
	switch enc & 0x0f {
	case encAbsPtr, encUData8, encSData8:
		v = c.u64()
	case encULEB:
		v = c.uleb()
	case encUData2:
		v = uint64(c.u16())
	case encUData4:
		v = uint64(c.u32())
	case encSLEB:
		v = uint64(c.sleb())
	case encSData2:
		v = uint64(int16(c.u16()))
	case encSData4:
		v = uint64(int32(c.u32()))
	default:
		return 0, fmt.Errorf("pointer encoding %#x is unknown", enc)
	}
	if c.bad {
		return 0, errCut
	}
	return v, nil
}
