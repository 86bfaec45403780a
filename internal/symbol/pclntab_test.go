package symbol

import (
	"debug/elf"
	"debug/gosym"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func fixtureTable(t testing.TB, magic uint32, text uint64) *pclntab {
	tab, err := parsePclntab(pclntabFixture(magic, text))
	require.NoError(t, err)
	if tab.text == 0 {
		tab.text = 0x400000
	}
	tab.funcdata = inlineFixture(magic)
	return tab
}

func TestPclntabFixture(t *testing.T) {
	for _, magic := range []uint32{magicGo118, magicGo120} {
		start := func(line int64) int64 { // not known before Go 1.20
			if magic == magicGo118 {
				return 0
			}
			return line
		}
		for _, text := range []uint64{0, 0x400000} {
			tab := fixtureTable(t, magic, text)
			from, to := tab.bounds()
			assert.Equal(t, [2]uint64{0x400000, 0x400200}, [2]uint64{from, to})
			for addr, want := range map[uint64]string{
				0x3fffff: "", 0x400000: "main.a", 0x4000ff: "main.a", 0x400100: "main.b", 0x4001ff: "main.b", 0x400200: "",
			} {
				i, ok := tab.find(addr)
				require.Equal(t, want != "", ok, "%#x", addr)
				if ok {
					g, ok := tab.function(i)
					require.True(t, ok)
					assert.Equal(t, want, string(tab.name(g.name)))
				}
			}
			g, _ := tab.function(1)
			b := func(line int64) goFrame { return goFrame{name: 7, startLine: start(7), line: line} }
			a := goFrame{name: 0, startLine: start(3), line: 12}
			assert.Equal(t, []goFrame{b(10)}, tab.frames(g, 0x400100, nil))
			assert.Equal(t, []goFrame{b(12)}, tab.frames(g, 0x400180, nil))
			assert.Equal(t, []goFrame{a, b(10)}, tab.frames(g, 0x4001c0, nil), "inlined; the call's line")
			assert.Equal(t, "/src/main.go", string(tab.fileName(0)))
			tab.funcdata = nil
			assert.Equal(t, []goFrame{b(0)}, tab.frames(g, 0x4001c0, nil), "inlined code has no line of this function")
		}
	}
}

func TestPclntabTruncated(t *testing.T) {
	for _, magic := range []uint32{magicGo118, magicGo120} {
		b := pclntabFixture(magic, 0x400000)
		for n := range len(b) {
			if tab, err := parsePclntab(b[:n:n]); err == nil {
				tab.funcdata = inlineFixture(magic)
				useGo(tab)
			}
		}
		tab, b := fixtureTable(t, magic, 0x400000), inlineFixture(magic)
		for n := range len(b) {
			tab.funcdata = b[:n:n]
			useGo(tab)
		}
	}
}

// TestPclntabInlineLoop has an inlined call that was inlined into itself.
func TestPclntabInlineLoop(t *testing.T) {
	tab := fixtureTable(t, magicGo120, 0x400000)
	tab.funcdata[8+8] = 0xc0
	g, _ := tab.function(1)
	assert.Len(t, tab.frames(g, 0x4001c0, nil), maxInline+1)
}

func TestPclntabRefusesOld(t *testing.T) {
	b := pclntabFixture(magicGo120, 0)
	b[0] = 0xfa // Go 1.16
	_, err := parsePclntab(b)
	assert.ErrorIs(t, err, errNotPclntab)
}

func FuzzPclntab(f *testing.F) {
	f.Add(pclntabFixture(magicGo118, 0x400000), inlineFixture(magicGo118))
	f.Add(pclntabFixture(magicGo120, 0), inlineFixture(magicGo120))
	f.Fuzz(func(_ *testing.T, b, funcdata []byte) {
		if tab, err := parsePclntab(b); err == nil {
			tab.funcdata = funcdata
			useGo(tab)
		}
	})
}

func goTablesOf(t testing.TB, path string) *pclntab {
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	f, err := parseELF(b)
	require.NoError(t, err)
	tab, err := f.goTables()
	require.NoError(t, err)
	require.NotNil(t, tab)
	return tab
}

// TestPclntabAgreesWithGosym compares every function of this test binary with
// the standard library's reader.
func TestPclntabAgreesWithGosym(t *testing.T) {
	exe, err := os.Executable()
	require.NoError(t, err)
	agreeWithGosym(t, exe)
}

// TestPclntabPIE does the same for a stripped position independent executable,
// where the start of the text is found through relocations.
func TestPclntabPIE(t *testing.T) {
	if testing.Short() {
		t.Skip("builds a program")
	}
	dir := t.TempDir()
	src, bin := filepath.Join(dir, "main.go"), filepath.Join(dir, "pie")
	require.NoError(t, os.WriteFile(src, []byte("package main\n\nfunc main() { println(1) }\n"), 0o600))
	cmd := exec.Command("go", "build", "-buildmode=pie", "-ldflags=-s -w", "-o", bin, src)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	agreeWithGosym(t, bin)
}

func agreeWithGosym(t *testing.T, path string) {
	t.Helper()
	tab := goTablesOf(t, path)
	ref, err := elf.Open(path)
	require.NoError(t, err)
	defer ref.Close()
	sec := ref.Section(".gopclntab")
	if sec == nil {
		sec = ref.Section(".data.rel.ro.gopclntab")
	}
	require.NotNil(t, sec)
	data, err := sec.Data()
	require.NoError(t, err)
	want, err := gosym.NewTable(nil, gosym.NewLineTable(data, ref.Section(".text").Addr))
	require.NoError(t, err)
	require.Len(t, want.Funcs, int(tab.nfunc))
	for i, fn := range want.Funcs {
		g, ok := tab.function(uint64(i))
		require.True(t, ok)
		require.Equal(t, fn.Name, string(tab.name(g.name)))
		require.Equal(t, fn.Entry, g.entry)
		if i%50 != 0 {
			continue // line tables are slow to read
		}
		for addr := fn.Entry; addr < fn.End; addr += 7 {
			file, line, _ := want.PCToLine(addr)
			frames := tab.frames(g, addr, nil)
			require.EqualValues(t, max(line, 0), frames[0].line, "%s %#x", fn.Name, addr)
			require.Equal(t, file, string(tab.fileName(frames[0].file)))
			require.Equal(t, g.name, frames[len(frames)-1].name)
		}
		j, ok := tab.find(fn.End - 1)
		require.True(t, ok)
		require.EqualValues(t, i, j)
	}
}
