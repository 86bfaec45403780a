package unwind

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// smallFiles are made by testdata/make.sh.
var smallFiles = []string{"amd64.so", "arm64.so", "debug.so", "clang.so"}

func readSmall(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name)
	require.NoError(t, err)
	return b
}

func TestSmallFilesAgreeWithReadelf(t *testing.T) {
	for _, name := range smallFiles {
		t.Run(name, func(t *testing.T) { compare(t, "testdata/"+name, readSmall(t, name), true, 1<<30) })
	}
}

// kindsIn returns the kinds of the rules within a function.
func kindsIn(t *testing.T, p *Pool, table *Table, f elf.Symbol) []Kind {
	t.Helper()
	var kinds []Kind
	for pc := f.Value; pc < f.Value+f.Size; pc++ {
		r, ok := p.Lookup(table, pc)
		require.True(t, ok)
		if n := len(kinds); n == 0 || kinds[n-1] != r.Kind {
			kinds = append(kinds, r.Kind)
		}
	}
	return kinds
}

func TestFramesOfCompilers(t *testing.T) {
	sp := []Kind{KindSP}
	variable := []Kind{KindSP, KindFP, KindSP}
	drap := []Kind{KindSP, KindReg, KindDerefFP, KindReg, KindSP}
	want := map[string]map[string][]Kind{
		"amd64.so": {"leaf": sp, "framed": sp, "variable": variable, "aligned": drap, "many": sp},
		"debug.so": {"leaf": sp, "framed": sp, "variable": variable, "aligned": drap, "many": sp},
		"arm64.so": {"leaf": sp, "framed": sp, "variable": variable, "aligned": variable, "many": sp},
		"clang.so": {"leaf": sp, "framed": sp, "variable": variable, "aligned": variable, "many": sp},
	}
	for name, functions := range want {
		data := readSmall(t, name)
		f, err := elf.NewFile(bytes.NewReader(data))
		require.NoError(t, err)
		syms, err := f.DynamicSymbols()
		require.NoError(t, err)
		p := newPool(1)
		table, err := p.Build(data)
		require.NoError(t, err)
		functions["handled"] = []Kind{KindSignal}
		functions["outermost"] = []Kind{KindEnd}
		functions["silent"] = []Kind{KindFPChain}
		found := 0
		for _, s := range syms {
			if kinds, ok := functions[s.Name]; ok {
				found++
				assert.Equal(t, kinds, kindsIn(t, p, table, s), "%s in %s", s.Name, name)
			}
		}
		assert.Equal(t, len(functions), found)
	}
}

// The same rules are found without section headers, and without an index that
// can be trusted.
func TestDamagedIndexes(t *testing.T) {
	good := readSmall(t, "amd64.so")
	f, err := elf.NewFile(bytes.NewReader(good))
	require.NoError(t, err)
	hdr := f.Section(".eh_frame_hdr").Offset
	text := f.Section(".text")
	p := newPool(8)
	want, err := p.Build(good)
	require.NoError(t, err)
	damage := map[string]func(b []byte){
		"no section headers":         func(b []byte) { clear(b[40:48]); clear(b[58:64]) },
		"section headers are beyond": func(b []byte) { binary.LittleEndian.PutUint64(b[40:], 1<<40) },
		"unknown version":            func(b []byte) { b[hdr] = 2 },
		"no table":                   func(b []byte) { b[hdr+3] = encOmit },
		"too many entries":           func(b []byte) { b[hdr+8+3] = 1 },
		"not sorted":                 func(b []byte) { b[hdr+12+3] = 0x7f },
		"other section":              func(b []byte) { b[hdr+4] ^= 1 },
		"entries to no function":     func(b []byte) { b[hdr+16] ^= 4 },
	}
	for name, harm := range damage {
		t.Run(name, func(t *testing.T) {
			b := slices.Clone(good)
			harm(b)
			got, err := p.Build(b)
			require.NoError(t, err)
			assert.Equal(t, want.Rows, got.Rows)
			for pc := text.Addr; pc < text.Addr+text.Size; pc++ {
				r, _ := p.Lookup(want, pc)
				g, _ := p.Lookup(got, pc)
				require.Equal(t, r, g, "%#x", pc)
			}
		})
	}
}

// The vdso has a table of its own.
func TestVDSO(t *testing.T) {
	maps, err := os.ReadFile("/proc/self/maps")
	require.NoError(t, err)
	i := slices.IndexFunc(strings.Split(string(maps), "\n"), func(s string) bool { return strings.HasSuffix(s, "[vdso]") })
	if i < 0 {
		t.Skip("this process has no vdso")
	}
	line := strings.Split(string(maps), "\n")[i]
	from, to, _ := strings.Cut(strings.Fields(line)[0], "-")
	start, err := strconv.ParseInt(from, 16, 64)
	require.NoError(t, err)
	end, err := strconv.ParseInt(to, 16, 64)
	require.NoError(t, err)
	mem, err := os.Open("/proc/self/mem")
	require.NoError(t, err)
	defer func() { require.NoError(t, mem.Close()) }()
	data := make([]byte, end-start)
	_, err = mem.ReadAt(data, start)
	require.NoError(t, err)

	p := newPool(1)
	table, err := p.Build(data)
	require.NoError(t, err)
	f, err := elf.NewFile(bytes.NewReader(data))
	require.NoError(t, err)
	syms, err := f.DynamicSymbols()
	require.NoError(t, err)
	n := 0
	for _, s := range syms {
		if elf.ST_TYPE(s.Info) != elf.STT_FUNC || !strings.Contains(s.Name, "gettime") {
			continue
		}
		n++
		r, ok := p.Lookup(table, s.Value)
		require.True(t, ok)
		assert.Equal(t, KindSP, r.Kind, s.Name)
	}
	require.NotZero(t, n)
}
