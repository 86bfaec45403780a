package unwind

import (
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// goTable is the pclntab of two functions of 64 bytes, the second one with a
// flag. Their stack pointer is at 0, 8, 16 below the call from their starts, from
// 4 and from 12 bytes (or instructions) on.
func goTable(machine uint16, magic uint32, flag byte) []byte {
	quantum, steps := byte(1), []byte{0, 2, 4, 16, 8, 16, 52, 0}
	if machine == emAArch64 {
		quantum, steps = 4, []byte{0, 2, 1, 16, 2, 16, 13, 0}
	}
	const names, pcs, funcs, pairs = 72, 88, 96, 24
	b := cat(u32(magic), []byte{0, 0, quantum, 8}, u64(2), u64(0), u64(testText))
	for _, off := range []uint64{names, names, names, pcs, funcs} {
		b = binary.LittleEndian.AppendUint64(b, off)
	}
	b = append(b, "main.function\x00..."[:pcs-names]...)
	b = append(b, steps...)
	function := func(flag byte) []byte {
		f := make([]byte, goFuncSize)
		f[goPCSPAt] = 1
		f[41] = flag
		if magic == goMagic118 {
			f[37], f[41] = flag, 0xff // that is no flag there
		}
		return f
	}
	b = cat(b, u32(0), u32(pairs), u32(64), u32(pairs+goFuncSize), u32(128), u32(0))
	return cat(b, function(0), function(flag))
}

func makeGo(machine uint16, magic uint32, flag byte) []byte {
	return makeELF(machine, testTextSize, testSection{".gopclntab", 0x8000, goTable(machine, magic, flag)})
}

func TestGoTable(t *testing.T) {
	empty := map[uint16]Rule{
		emX86_64: {Kind: KindGoSP, CFAOff: 8, RAOff: -8}, emAArch64: {Kind: KindGoSP, Reg: RegLR},
	}
	chain, end := Rule{Kind: KindFPChain}, Rule{Kind: KindEnd}
	for _, machine := range []uint16{emX86_64, emAArch64} {
		for _, magic := range []uint32{goMagic118, goMagic120} {
			for flag, second := range map[byte][2]Rule{
				0: {empty[machine], chain}, goTopFrame: {end, end}, goSPWrite: {chain, chain},
			} {
				p := newPool(1)
				table, err := p.Build(makeGo(machine, magic, flag))
				require.NoError(t, err)
				assert.Equal(t, 2, table.Functions)
				assert.Zero(t, table.Malformed)
				for addr, want := range map[uint64]Rule{
					0: empty[machine], 3: empty[machine], 4: chain, 63: chain,
					64: second[0], 67: second[0], 68: second[1], 127: second[1],
					128: chain, testTextSize - 1: chain,
				} {
					r, ok := p.Lookup(table, testText+addr)
					require.True(t, ok)
					assert.Equal(t, want, r, "machine %d, magic %#x, flag %d, address %d", machine, magic, flag, addr)
				}
			}
		}
	}
}

// Where the text begins is found in moduledata, or in the relocations that fill
// it in.
func TestGoText(t *testing.T) {
	const table, text, module = 0x8000, testText + 0x100, 0x200000
	words := make([]uint64, 30)
	words[0] = table // a pointer to it that is not moduledata
	words[5], words[5+20], words[5+22] = table, text+16, text
	var data []byte
	for _, w := range words {
		data = append(data, u64(w)...)
	}
	got, ok := moduleText(data, table)
	require.True(t, ok)
	assert.EqualValues(t, text, got)
	for n := range 8 * (5 + 23) {
		_, ok = moduleText(data[:n], table)
		require.False(t, ok, "%d bytes", n)
	}

	rela := cat(
		u64(module-8), u64(8), u64(0x1234),
		u64(module-4096), u64(8), u64(table), // a pointer to it that is not moduledata
		u64(module), u64(8), u64(table), u64(module+8*20), u64(8), u64(text+16), u64(module+8*22), u64(8), u64(text),
	)
	got, ok = relocatedModuleText(rela, table)
	require.True(t, ok)
	assert.EqualValues(t, text, got)
	for n := range rela {
		_, ok = relocatedModuleText(rela[:n], table)
		require.False(t, ok, "%d bytes", n)
	}

	im := &image{pclntab: section{addr: table}, text: section{addr: 1}, rela: [][]byte{rela}}
	assert.EqualValues(t, text, im.goText())
	im.goData, im.rela = [][]byte{data}, nil
	assert.EqualValues(t, text, im.goText())
	im.goData = nil
	assert.EqualValues(t, 1, im.goText())
}
