package symbol

import (
	"debug/dwarf"
	"debug/elf"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const inlineProgram = `package main

import "os"

//go:noinline
func leaf(x int) int { return x + len(os.Args) }

func third(x int) int { return leaf(x) + 1 }

func second(x int) int {
	return 2 * third(x)
}

func first(x int) int { return second(x) }

func main() {
	println(first(len(os.Args)))
}
`

// TestGoInlining compares the functions and lines at every few bytes of the
// program's main.main with what DWARF says, and takes the names
// from an executable that is stripped of it.
func TestGoInlining(t *testing.T) {
	if testing.Short() {
		t.Skip("builds programs")
	}
	dir := t.TempDir()
	src := filepath.Join(dir, "main.go")
	require.NoError(t, os.WriteFile(src, []byte(inlineProgram), 0o600))
	cgo := filepath.Join(dir, "cgo")
	require.NoError(t, os.Mkdir(cgo, 0o700))
	cgoSrc := filepath.Join(cgo, "main.go")
	require.NoError(t, os.WriteFile(cgoSrc, []byte(strings.Replace(inlineProgram, "import", "// static int one(void) { return 1; }\nimport \"C\"\n\nimport", 1)+
		"\nvar One = C.one()\n"), 0o600))
	build := func(name, mode, ldflags, src string, env ...string) string {
		bin := filepath.Join(dir, name)
		cmd := exec.Command("go", "build", "-buildmode="+mode, "-ldflags="+ldflags, "-o", bin, src)
		cmd.Env = append(os.Environ(), env...)
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, string(out))
		return bin
	}
	for _, mode := range []string{"exe", "pie"} {
		t.Run(mode, func(t *testing.T) {
			full := build("full-"+mode, mode, "", src, "CGO_ENABLED=0")
			stripped := build("stripped-"+mode, mode, "-s -w", src, "CGO_ENABLED=0")
			agreeWithDWARF(t, full, stripped)
		})
	}
	if _, err := exec.LookPath("gcc"); err != nil {
		return
	}
	t.Run("cgo", func(t *testing.T) {
		full := build("full-cgo", "pie", "", cgoSrc, "CGO_ENABLED=1")
		stripped := filepath.Join(dir, "stripped-cgo")
		out, err := exec.Command("strip", "-o", stripped, full).CombinedOutput()
		require.NoError(t, err, string(out))
		agreeWithDWARF(t, full, stripped)
	})
}

func agreeWithDWARF(t *testing.T, full, stripped string) {
	ref, err := elf.Open(full)
	require.NoError(t, err)
	defer ref.Close()
	info, err := ref.DWARF()
	require.NoError(t, err)
	syms, err := ref.Symbols()
	require.NoError(t, err)
	var from, to uint64
	for _, s := range syms {
		if s.Name == "main.main" {
			from, to = s.Value, s.Value+s.Size
		}
	}
	require.NotZero(t, from)
	c := newTestCache(t, 16<<20)
	f := openTestFile(t, c, stripped)
	wait(t, c)
	deep := 0
	for addr := from; addr < to; addr++ {
		syms := f.Lookup(addr, nil)
		if len(syms) > 0 && syms[0].Line == 0 { // padding
			continue
		}
		var got []string
		for _, s := range syms {
			got = append(got, fmt.Sprintf("%s %s:%d", s.Name, s.File, s.Line))
		}
		require.Equal(t, dwarfFrames(t, info, addr), got, "%#x", addr)
		deep = max(deep, len(syms))
	}
	assert.Equal(t, 4, deep, "main, first, second and third")
}

// dwarfFrames returns the functions at an address as DWARF has them.
func dwarfFrames(t *testing.T, info *dwarf.Data, addr uint64) (frames []string) {
	r := info.Reader()
	unit, err := r.SeekPC(addr)
	require.NoError(t, err)
	lines, err := info.LineReader(unit)
	require.NoError(t, err)
	var place dwarf.LineEntry
	require.NoError(t, lines.SeekPC(addr, &place))
	at := fmt.Sprintf("%s:%d", place.File.Name, place.Line)
	for depth := 1; depth > 0; {
		e, err := r.Next()
		require.NoError(t, err)
		if e == nil {
			break
		}
		if e.Tag == 0 {
			depth--
			continue
		}
		ranges, _ := info.Ranges(e)
		inside := slices.ContainsFunc(ranges, func(r [2]uint64) bool { return addr >= r[0] && addr < r[1] })
		if e.Tag != dwarf.TagSubprogram && e.Tag != dwarf.TagInlinedSubroutine || !inside {
			if e.Tag != dwarf.TagLexDwarfBlock {
				r.SkipChildren()
			} else if e.Children {
				depth++
			}
			continue
		}
		if e.Tag == dwarf.TagInlinedSubroutine {
			// What was found before is where this one was called.
			call := fmt.Sprintf("%s:%d", lines.Files()[e.Val(dwarf.AttrCallFile).(int64)].Name, e.Val(dwarf.AttrCallLine))
			frames[0] = strings.Replace(frames[0], at, call, 1)
		}
		if e.Children {
			depth++
		}
		if origin, ok := e.Val(dwarf.AttrAbstractOrigin).(dwarf.Offset); ok {
			o := info.Reader()
			o.Seek(origin)
			e, err = o.Next()
			require.NoError(t, err)
		}
		frames = append([]string{e.Val(dwarf.AttrName).(string) + " " + at}, frames...)
	}
	return frames
}
