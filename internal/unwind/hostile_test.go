package unwind

import (
	"bytes"
	"debug/elf"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func smallPool() *Pool {
	return NewPool(NewHeapMemory(2, 64, 300), PoolOptions{MaxChunks: 2, MaxPages: 64, MaxRules: 300})
}

// build makes a table and checks it, or that nothing is left of it.
func build(t testing.TB, p *Pool, data []byte) {
	table, err := p.Build(data)
	if err != nil {
		checkPool(t, p, nil)
		return
	}
	checkTable(t, p, table)
	checkPool(t, p, []*Table{table})
	p.Free(table)
	checkPool(t, p, nil)
}

// Every truncation of a file, and every truncation within a file of the section,
// gives a table or an error.
func TestTruncations(t *testing.T) {
	p := smallPool()
	for _, name := range smallFiles {
		data := readSmall(t, name)
		for n := range data {
			build(t, p, data[:n:n])
		}
		f, err := elf.NewFile(bytes.NewReader(data))
		require.NoError(t, err)
		for _, s := range f.Sections {
			if s.Name != ".eh_frame" && s.Name != ".debug_frame" {
				continue
			}
			section, err := s.Data()
			require.NoError(t, err)
			for n := range section {
				build(t, p, makeELF(uint16(f.Machine), testTextSize, testSection{s.Name, testFrames, section[:n]}))
			}
		}
	}
}

// The same for what Go's linker makes.
func TestGoTruncations(t *testing.T) {
	p := smallPool()
	good := makeGo(emX86_64, goMagic120, 0)
	_, err := p.Build(good)
	require.NoError(t, err)
	p = smallPool()
	for n := range good {
		build(t, p, good[:n:n])
	}
	table := goTable(emX86_64, goMagic120, 0)
	for n := range table {
		build(t, p, makeELF(emX86_64, testTextSize, testSection{".gopclntab", 0x8000, table[:n]}))
		for _, v := range []byte{0, 1, 0x7f, 0xff} {
			b := slices.Clone(table)
			b[n] = v
			build(t, p, makeELF(emX86_64, testTextSize, testSection{".gopclntab", 0x8000, b}))
		}
	}
}

// Files with wrong bytes give a table or an error.
func TestDamagedFiles(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	p := smallPool()
	for _, name := range smallFiles {
		data := readSmall(t, name)
		for range 2000 {
			b := slices.Clone(data)
			for range 1 + rnd.IntN(4) {
				b[rnd.IntN(len(b))] = byte(rnd.Uint32())
			}
			build(t, p, b)
		}
	}
}

func TestErrors(t *testing.T) {
	good := testProgram(emX86_64)
	with := func(at int, v ...byte) []byte {
		b := slices.Clone(good)
		copy(b[at:], v)
		return b
	}
	for _, tc := range []struct {
		name, want string
		data       []byte
	}{
		{"empty", "not an ELF file", nil},
		{"text", "not an ELF file", bytes.Repeat([]byte("#!/bin/sh\n"), 10)},
		{"32-bit", "class 1, data 1; only 64-bit", with(4, 1)},
		{"big-endian", "class 2, data 2; only 64-bit", with(5, 2)},
		{"machine", "machine 40; only", with(18, 40)},
		{"program headers", "600 of them, limit 512", with(56, 0x58, 2)},
		{"size of program headers", "entry of 8 bytes, want 56", with(54, 8)},
		{"program headers beyond", "are beyond the file's", with(32, 0xff, 0xff, 0xff)},
		{"size of section headers", "limit 65536 of 64", with(58, 8)},
		{"no code", "no executable segment", with(68, 0)},
		{"address", "limit 0x1000000000000", with(64+40+6, 1)},
		{"large", "limit 32768", with(64+40+4, 1)},
		{"no frames", ErrNoInfo.Error(), makeELF(emX86_64, testTextSize)},
		{"no functions", "no function is described", makeELF(emX86_64, testTextSize, testSection{".eh_frame", testFrames, testCIE(emX86_64)})},
		{"reserved length", "length 0xfffffff1 is reserved", makeELF(emX86_64, testTextSize, testSection{".eh_frame", testFrames, u32(0xfffffff1)})},
		{"only broken functions", "none of 1 functions", testProgram(emX86_64, 0x3f)},
		{"Go's magic", "magic 0xfffffffb", makeELF(emX86_64, testTextSize, testSection{".gopclntab", 0x8000, cat(u32(0xfffffffb), make([]byte, 100))})},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := newPool(1)
			_, err := p.Build(tc.data)
			require.ErrorContains(t, err, tc.want)
			checkPool(t, p, nil)
		})
	}
}

// A long description that many functions share would be work without end.
func TestSharedWorkIsBounded(t *testing.T) {
	const functions, length = 8000, 1 << 20
	cie := testCIE(emX86_64)
	frames := cat(cie, testFDE(len(cie), testText, testTextSize, bytes.Repeat([]byte{cfaDefCFAOffset, 8}, length/2)...))
	hdr := []byte{1, encUData4, encUData4, encDataRel | encSData4}
	hdrAt := uint64(testFrames - 0x20000)
	hdr = cat(hdr, u32(testFrames), u32(functions))
	for range functions {
		hdr = cat(hdr, u32(uint32(testText-hdrAt)), u32(uint32(testFrames+uint64(len(cie))-hdrAt)))
	}
	// The last one is the only that is not empty, so all but it are skipped; and
	// without a start of its own, each function is the same one.
	p := newPool(1)
	table, err := p.Build(makeELF(emX86_64, testTextSize, testSection{".eh_frame_hdr", hdrAt, hdr}, testSection{".eh_frame", testFrames, frames}))
	require.NoError(t, err)
	assert.Equal(t, 1, table.Functions)

	// CIEs that cannot be read are not remembered: reading them is accounted for.
	bad := frameEntry(0, append([]byte{1}, bytes.Repeat([]byte{'S'}, length)...))
	frames = bad
	for i := range functions {
		frames = append(frames, testFDE(len(frames), testText+16*uint64(i), 16)...)
	}
	_, err = p.Build(makeELF(emX86_64, testTextSize, testSection{".eh_frame", testFrames, frames}))
	require.ErrorIs(t, err, ErrNoInfo)
	checkPool(t, p, []*Table{table})

	// Each function's description reaches to the end of the section.
	frames, hdr = testCIE(emX86_64), hdr[:12]
	for i := range functions {
		off := len(frames)
		frames = append(frames, testFDE(off, testText+16*uint64(i), 16)...)
		hdr = cat(hdr, u32(uint32(testText+16*uint64(i)-hdrAt)), u32(uint32(testFrames+uint64(off)-hdrAt)))
	}
	for i := range functions {
		off := len(testCIE(emX86_64)) + 24*i
		copy(frames[off:], u32(uint32(len(frames)-off-4)))
	}
	_, err = p.Build(makeELF(emX86_64, testTextSize, testSection{".eh_frame_hdr", hdrAt, hdr}, testSection{".eh_frame", testFrames, frames}))
	require.ErrorIs(t, err, errWork)
	checkPool(t, p, []*Table{table})
}

func FuzzBuild(f *testing.F) {
	for _, name := range smallFiles {
		f.Add(readSmall(f, name))
	}
	f.Add(testProgram(emAArch64, cfaDefCFAOffset, 16))
	f.Add(makeGo(emX86_64, goMagic120, 0))
	f.Add(makeGo(emAArch64, goMagic118, goTopFrame))
	f.Fuzz(func(t *testing.T, data []byte) { build(t, smallPool(), data) })
}

func FuzzCFI(f *testing.F) {
	for _, name := range smallFiles {
		e, err := elf.NewFile(bytes.NewReader(readSmall(f, name)))
		require.NoError(f, err)
		for _, s := range e.Sections {
			if s.Name == ".eh_frame" || s.Name == ".debug_frame" {
				data, err := s.Data()
				require.NoError(f, err)
				f.Add(data, s.Name == ".debug_frame", e.Machine == elf.EM_AARCH64, s.Addr)
			}
		}
	}
	cie := testCIE(emX86_64)
	f.Add(append(cie, testFDE(len(cie), testText, 64, cfaAdvanceLoc<<6|1, cfaDefCFAOffset, 16)...), false, false, uint64(testFrames))
	f.Fuzz(func(t *testing.T, section []byte, debug, arm bool, addr uint64) {
		name, machine := ".eh_frame", uint16(emX86_64)
		if debug {
			name = ".debug_frame"
		}
		if arm {
			machine = emAArch64
		}
		build(t, smallPool(), makeELF(machine, testTextSize, testSection{name, addr, section}))
	})
}
