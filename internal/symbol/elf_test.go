package symbol

import (
	"debug/elf"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func sortedKeys(m map[string][2]uint64) []string { return slices.Sorted(maps.Keys(m)) }

var fixtureFuncs = map[string][2]uint64{
	"outer": {0x401000, 0x100}, "inner": {0x401010, 0x10}, "unsized": {0x401200, 0},
	"_ZN3foo3barEi": {0x401300, 0x20},
}

func TestELFFixture(t *testing.T) {
	f, err := parseELF(elfFixture(fixtureFuncs))
	require.NoError(t, err)
	assert.Equal(t, BuildID{ID: "deadbeef"}, f.buildID())
	assert.Equal(t, uint64(0x7f0000000), region{start: 0x7f0401000, end: 0x7f0402000, off: 0x1000}.bias(f.segments))
	tab, err := f.elfTables(0, 0, 100)
	require.NoError(t, err)
	for addr, want := range map[uint64]string{
		0x400fff: "", 0x401000: "outer", 0x40100f: "outer", 0x401010: "inner", 0x40101f: "inner",
		0x401020: "outer", 0x4010ff: "outer", 0x401100: "", 0x401200: "unsized", 0x4012ff: "unsized",
		0x40131f: "_ZN3foo3barEi", 0x401320: "",
	} {
		i, ok := tab.find(addr)
		got := ""
		if ok {
			got = string(tab.name(i))
		}
		assert.Equal(t, want, got, "%#x", addr)
	}
	assert.Equal(t, "foo::bar", demangled("_ZN3foo3barEi"))
	assert.Equal(t, "core::fmt::write", demangled("_ZN4core3fmt5write17h0123456789abcdefE"))
}

func TestELFLimit(t *testing.T) {
	f, err := parseELF(elfFixture(fixtureFuncs))
	require.NoError(t, err)
	_, err = f.elfTables(0, 0, 3)
	assert.ErrorIs(t, err, errTooLarge)
	assert.ErrorContains(t, err, "4 functions, limit 3")
}

// readAll does with a file all that the receiver does.
func readAll(b []byte) {
	f, err := parseELF(b)
	if err != nil {
		return
	}
	_ = f.buildID()
	_ = region{start: 0x10000, end: 0x11000, off: 0x1000}.bias(f.segments)
	golang, _ := f.goTables()
	var from, to uint64
	if golang != nil {
		useGo(golang)
		from, to = golang.bounds()
	}
	tab, err := f.elfTables(from, to, 1<<16)
	if err != nil {
		return
	}
	for i, s := range tab.syms[:min(len(tab.syms), 64)] {
		_, _ = tab.find(s.addr)
		_ = demangled(text(tab.name(i)))
	}
}

func useGo(t *pclntab) {
	for i := range min(t.nfunc, 64) {
		g, ok := t.function(i)
		if ok {
			for _, f := range t.frames(g, g.entry+1, nil) {
				_, _ = t.name(f.name), t.fileName(f.file)
			}
		}
		_, _ = t.find(t.entry(i))
	}
}

func TestELFTruncated(t *testing.T) {
	b := elfFixture(fixtureFuncs)
	for n := range len(b) {
		readAll(b[:n:n])
	}
}

func FuzzELF(f *testing.F) {
	f.Add(elfFixture(fixtureFuncs))
	if b, err := vdso(); err == nil {
		f.Add(b)
	}
	f.Fuzz(func(_ *testing.T, b []byte) { readAll(b) })
}

func FuzzDemangle(f *testing.F) {
	f.Add("_ZN3foo3barEi")
	f.Add("_RNvCs1234_7mycrate3foo")
	f.Add("_ZSt4cout" + "S_S_S_")
	f.Fuzz(func(t *testing.T, s string) {
		if n := len(demangled(s)); n > max(len(s), 1<<maxDemangledLog2) {
			t.Fatalf("%d bytes from %d", n, len(s))
		}
	})
}

// TestELFAgreesWithDebugELF looks every function of the C library up.
func TestELFAgreesWithDebugELF(t *testing.T) {
	path := libc(t)
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	f, err := parseELF(b)
	require.NoError(t, err)
	tab, err := f.elfTables(0, 0, 1<<20)
	require.NoError(t, err)
	ref, err := elf.Open(path)
	require.NoError(t, err)
	defer ref.Close()
	syms, err := ref.Symbols()
	if err != nil {
		syms, err = ref.DynamicSymbols()
		require.NoError(t, err)
	}
	names := map[uint64][]string{}
	for _, s := range syms {
		typ := elf.ST_TYPE(s.Info)
		if s.Section != elf.SHN_UNDEF && s.Value != 0 && (typ == elf.STT_FUNC || typ == elf.STT_GNU_IFUNC) {
			names[s.Value] = append(names[s.Value], s.Name)
		}
	}
	require.NotEmpty(t, names)
	assert.Len(t, tab.syms, len(names))
	for addr, want := range names {
		i, ok := tab.find(addr)
		if assert.True(t, ok, "%#x", addr) {
			assert.Contains(t, want, string(tab.name(i)))
		}
	}
}

// TestCNames names static and global functions of a C program.
func TestCNames(t *testing.T) {
	gcc, err := exec.LookPath("gcc")
	if err != nil {
		t.Skip("no gcc")
	}
	dir := t.TempDir()
	src := filepath.Join(dir, "p.c")
	require.NoError(t, os.WriteFile(src, []byte(`
static __attribute__((noinline)) int hidden(int x) { return x * 3; }
int shown(int x) { return hidden(x) + 1; }
int main(int c, char **v) { return shown(c); }
`), 0o600))
	for _, flag := range []string{"-pie", "-no-pie"} {
		bin := filepath.Join(dir, "p"+flag)
		out, err := exec.Command(gcc, "-O1", flag, "-fPIE", "-o", bin, src).CombinedOutput()
		require.NoError(t, err, string(out))
		c := newTestCache(t, 1<<20)
		f := openTestFile(t, c, bin)
		wait(t, c)
		ref, err := elf.Open(bin)
		require.NoError(t, err)
		syms, err := ref.Symbols()
		require.NoError(t, err)
		require.NoError(t, ref.Close())
		found := 0
		for _, s := range syms {
			if s.Name == "hidden" || s.Name == "shown" || s.Name == "main" {
				assert.Equal(t, []Symbol{{Name: s.Name, Kind: KindNative}}, f.Lookup(s.Value+1, nil))
				found++
			}
		}
		assert.Equal(t, 3, found)
		assert.NotEmpty(t, f.BuildID.ID)
	}
}
