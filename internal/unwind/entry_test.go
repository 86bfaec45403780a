package unwind

import (
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Two instructions as the initial ones of a CIE for x86-64.
var initial = []byte{cfaDefCFA, regRSP, 8, cfaOffset<<6 | regRIP, 1}

func cat(parts ...[]byte) []byte {
	var b []byte
	for _, p := range parts {
		b = append(b, p...)
	}
	return b
}

func u16(v uint16) []byte { return binary.LittleEndian.AppendUint16(nil, v) }
func u32(v uint32) []byte { return binary.LittleEndian.AppendUint32(nil, v) }
func u64(v uint64) []byte { return binary.LittleEndian.AppendUint64(nil, v) }

// longEntry is an entry with a 64-bit length.
func longEntry(id uint64, body []byte) []byte {
	return cat(u32(0xffffffff), u64(uint64(8+len(body))), u64(id), body)
}

// The forms in which CIEs and addresses are written.
func TestForms(t *testing.T) {
	const start, size = testText + 0x20, 0x30
	plain := cat(u64(start), u64(size))
	z := func(body ...byte) []byte { return body }
	// at is where the body of the FDE begins: addresses are first in it.
	for _, tc := range []struct {
		name  string
		debug bool
		cie   []byte
		fde   func(cie int, at uint64) []byte
	}{
		{"version 1", false, frameEntry(0, cat(z(1, 0, 1, 0x78, 16), initial)), nil},
		{"version 3", false, frameEntry(0, cat(z(3, 0, 1, 0x78, 16), initial)), nil},
		{"version 4", false, frameEntry(0, cat(z(4, 0, 8, 0, 1, 0x78, 16), initial)), nil},
		{"eh", false, frameEntry(0, cat(z(1, 'e', 'h', 0, 1, 2, 3, 4, 5, 6, 7, 8, 1, 0x78, 16), initial)), nil},
		{"64-bit", false, longEntry(0, cat(z(1, 0, 1, 0x78, 16), initial)), func(cie int, _ uint64) []byte {
			return longEntry(uint64(cie+12), plain)
		}},
		{"debug_frame", true, frameEntry(0xffffffff, cat(z(3, 0, 1, 0x78, 16), initial)), func(int, uint64) []byte {
			return frameEntry(0, plain)
		}},
		{"debug_frame, 64-bit", true, longEntry(^uint64(0), cat(z(4, 0, 8, 0, 1, 0x78, 16), initial)), func(int, uint64) []byte {
			return longEntry(0, plain)
		}},
		{"LPR", false, frameEntry(0, cat(z(1, 'z', 'L', 'P', 'R', 0, 1, 0x78, 16, 7, 0x1b, 0x9b, 1, 2, 3, 4, 0x1b), initial)), func(cie int, at uint64) []byte {
			return frameEntry(uint32(cie+4), cat(u32(uint32(start-at)), u32(size), z(4, 1, 2, 3, 4)))
		}},
		{"B and G", false, frameEntry(0, cat(z(1, 'z', 'R', 'B', 'G', 0, 1, 0x78, 16, 1, 0), initial)), func(cie int, _ uint64) []byte {
			return frameEntry(uint32(cie+4), cat(plain, z(0)))
		}},
		{"unknown augmentation with a size", false, frameEntry(0, cat(z(1, 'z', 'R', 'Q', 0, 1, 0x78, 16, 3, 0, 9, 9), initial)), func(cie int, _ uint64) []byte {
			return frameEntry(uint32(cie+4), cat(plain, z(0)))
		}},
		{"no personality", false, frameEntry(0, cat(z(1, 'z', 'P', 0, 1, 0x78, 16, 1, 0xff), initial)), func(cie int, _ uint64) []byte {
			return frameEntry(uint32(cie+4), cat(plain, z(0)))
		}},
		encoded("udata4", 0x03, func(uint64) []byte { return cat(u32(start), u32(size)) }),
		encoded("sdata4", 0x0b, func(uint64) []byte { return cat(u32(start), u32(size)) }),
		encoded("udata8", 0x04, func(uint64) []byte { return plain }),
		encoded("uleb128", 0x01, func(uint64) []byte { return z(0xa0, 0x80, 0x04, size) }),
		encoded("sleb128", 0x09, func(uint64) []byte { return z(0xa0, 0x80, 0x04, size) }),
		encoded("pcrel sdata8", 0x1c, func(at uint64) []byte { return cat(u64(start-at), u64(size)) }),
		encoded("textrel udata2", 0x22, func(uint64) []byte { return cat(u16(start-testText), u16(size)) }),
		encoded("textrel sdata2", 0x2a, func(uint64) []byte { return cat(u16(start-testText), u16(size)) }),
		encoded("aligned", 0x50, func(at uint64) []byte { return cat(make([]byte, -at&7), plain) }),
	} {
		t.Run(tc.name, func(t *testing.T) {
			if tc.fde == nil {
				tc.fde = func(cie int, _ uint64) []byte { return frameEntry(uint32(cie+4), plain) }
			}
			head := uint64(8)
			if le.Uint32(tc.cie) == 0xffffffff {
				head = 20
			}
			frames := cat(tc.cie, tc.fde(len(tc.cie), testFrames+uint64(len(tc.cie))+head))
			name := ".eh_frame"
			if tc.debug {
				name = ".debug_frame"
			}
			text := testSection{".text", testText, make([]byte, 16)}
			p := newPool(1)
			table, err := p.Build(makeELF(emX86_64, testTextSize, text, testSection{name, testFrames, frames}))
			require.NoError(t, err)
			assert.Equal(t, 1, table.Functions)
			for addr, want := range map[uint64]Rule{
				testText: {Kind: KindFPChain}, start - 1: {Kind: KindFPChain},
				start: {Kind: KindSP, CFAOff: 8, RAOff: -8}, start + size - 1: {Kind: KindSP, CFAOff: 8, RAOff: -8},
				start + size: {Kind: KindFPChain}, testText + testTextSize - 1: {Kind: KindFPChain},
			} {
				r, ok := p.Lookup(table, addr)
				require.True(t, ok)
				assert.Equal(t, want, r, "%#x", addr)
			}
		})
	}
}

type form = struct {
	name  string
	debug bool
	cie   []byte
	fde   func(cie int, at uint64) []byte
}

// encoded is a form with a pointer encoding.
func encoded(name string, enc byte, addresses func(at uint64) []byte) form {
	cie := frameEntry(0, cat([]byte{1, 'z', 'R', 0, 1, 0x78, 16, 1, enc}, initial))
	return form{name, false, cie, func(n int, at uint64) []byte {
		return frameEntry(uint32(n+4), cat(addresses(at), []byte{0}))
	}}
}

// Entries that cannot be understood do not keep others from being.
func TestMalformedEntries(t *testing.T) {
	const start = testText
	for name, cie := range map[string][]byte{
		"version":           frameEntry(0, cat([]byte{2, 0, 1, 0x78, 16}, initial)),
		"augmentation":      frameEntry(0, cat([]byte{1, 'x', 0, 1, 0x78, 16}, initial)),
		"address size":      frameEntry(0, cat([]byte{4, 0, 4, 0, 1, 0x78, 16}, initial)),
		"segment":           frameEntry(0, cat([]byte{4, 0, 8, 1, 1, 0x78, 16}, initial)),
		"no end of string":  frameEntry(0, []byte{1, 'z', 'R'}),
		"no code alignment": frameEntry(0, cat([]byte{1, 0, 0, 0x78, 16}, initial)),
		"data alignment":    frameEntry(0, cat([]byte{1, 0, 1, 0xff, 0xff, 0, 16}, initial)),
		"omitted":           frameEntry(0, cat([]byte{1, 'z', 'R', 0, 1, 0x78, 16, 1, 0xff}, initial)),
		"unknown format":    frameEntry(0, cat([]byte{1, 'z', 'R', 0, 1, 0x78, 16, 1, 0x05}, initial)),
		"data relative":     frameEntry(0, cat([]byte{1, 'z', 'R', 0, 1, 0x78, 16, 1, 0x33}, initial)),
		"text relative":     frameEntry(0, cat([]byte{1, 'z', 'R', 0, 1, 0x78, 16, 1, 0x23}, initial)),
		"personality":       frameEntry(0, cat([]byte{1, 'z', 'P', 0, 1, 0x78, 16, 1, 0x07}, initial)),
		"augmentation size": frameEntry(0, cat([]byte{1, 'z', 'R', 0, 1, 0x78, 16, 100, 0}, initial)),
		"instructions":      frameEntry(0, []byte{1, 0, 1, 0x78, 16, 0x3f}),
		"an FDE":            testFDE(0x1000, start, 8),
		"empty":             frameEntry(0, nil),
	} {
		t.Run(name, func(t *testing.T) {
			frames := cat(cie, testFDE(len(cie), start, 16))
			good := testCIE(emX86_64)
			frames = cat(frames, good, testFDE(len(good), start+16, 16))
			p := newPool(1)
			table, err := p.Build(makeELF(emX86_64, testTextSize, testSection{".eh_frame", testFrames, frames}))
			require.NoError(t, err)
			assert.Equal(t, 1, table.Functions)
			assert.Positive(t, table.Malformed)
			r, _ := p.Lookup(table, start+16)
			assert.Equal(t, KindSP, r.Kind)
			r, _ = p.Lookup(table, start)
			assert.Equal(t, KindFPChain, r.Kind)
		})
	}
}
