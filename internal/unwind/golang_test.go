package unwind

import (
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const goProgram = `package main

import "os"

//go:noinline
func leaf(a, b int) int { return a*b + 1 }

//go:noinline
func framed(n int) int {
	var buf [64]int
	for i := range buf { buf[i] = leaf(i, n) }
	return buf[n&63]
}

func main() { println(framed(len(os.Args))) }
`

// buildGo builds a program and returns the path of the executable.
func buildGo(t *testing.T, goarch string, flags ...string) string {
	t.Helper()
	tool, err := exec.LookPath("go")
	if err != nil {
		t.Skip("the go tool is not installed")
	}
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "main.go"), []byte(goProgram), 0o600))
	out := filepath.Join(dir, "program")
	cmd := exec.CommandContext(t.Context(), tool, append(append([]string{"build", "-o", out}, flags...), "main.go")...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOOS=linux", "GOARCH="+goarch, "CGO_ENABLED=0", "GOFLAGS=", "GO111MODULE=off")
	b, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", b)
	return out
}

// symbols returns the addresses and sizes of functions.
func symbols(t *testing.T, path string) map[string]elf.Symbol {
	t.Helper()
	f, err := elf.Open(path)
	require.NoError(t, err)
	defer func() { require.NoError(t, f.Close()) }()
	syms, err := f.Symbols()
	require.NoError(t, err)
	m := make(map[string]elf.Symbol)
	for _, s := range syms {
		if elf.ST_TYPE(s.Info) == elf.STT_FUNC {
			m[s.Name] = s
		}
	}
	return m
}

// The rules of Go's code agree with the .debug_frame that Go's linker makes, of
// which nothing is read to build the table.
func TestGoAgreesWithDebugFrame(t *testing.T) {
	for _, tc := range []struct{ name, arch, mode string }{
		{"amd64", "amd64", "exe"}, {"amd64 pie", "amd64", "pie"}, {"arm64", "arm64", "exe"}, {"arm64 pie", "arm64", "pie"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			path := buildGo(t, tc.arch, "-buildmode="+tc.mode, "-ldflags=-compressdwarf=false")
			checkGo(t, path, tc.arch == "amd64")
		})
	}
}

func checkGo(t *testing.T, path string, isX86 bool) {
	fp, empty, pushed := "x29", "sp+0", "none"
	if isX86 {
		fp, empty, pushed = "rbp", "rsp+8", "rsp+16"
	}
	fns := readelf(t, path, fp, 1<<30)
	require.Greater(t, len(fns), 1000)
	p := newPool(16)
	table, err := p.Build(mapFile(t, path))
	require.NoError(t, err)
	assert.Zero(t, table.Malformed)
	// Functions without a description in .debug_frame are few.
	assert.InDelta(t, len(fns), table.Functions, float64(len(fns))/20)
	empties, chains, pushes := 0, 0, 0
	for _, f := range fns {
		for i, r := range f.rows {
			end := f.hi
			if i+1 < len(f.rows) {
				end = f.rows[i+1].loc
			}
			for pc := r.loc; pc < end; pc++ {
				got, ok := p.Lookup(table, pc)
				require.True(t, ok, "%#x", pc)
				switch {
				case got.Kind == KindFPChain || got.Kind == KindEnd:
					if r.cfa == empty {
						chains++
					}
				case r.cfa == empty:
					empties++
					want := Rule{Kind: KindGoSP, CFAOff: 8, RAOff: -8}
					if !isX86 {
						want = Rule{Kind: KindGoSP, Reg: RegLR}
					}
					require.Equal(t, want, got, "%#x", pc)
				case r.cfa == pushed:
					pushes++
					require.Equal(t, Rule{Kind: KindGoSP, CFAOff: 16, RAOff: -8, FP: FPAtCFA, FPOff: -16}, got, "%#x", pc)
				default:
					t.Fatalf("%#x: got %+v, readelf %+v", pc, got, r)
				}
			}
		}
	}
	t.Logf("%d functions, %d rows, %d addresses without a frame, %d after a push, %d without rule", len(fns), table.Rows, empties, pushes, chains)
	require.NotZero(t, empties)
	// What has no frame, but no rule, are the few functions that change their
	// stack pointer, or where a stack begins.
	assert.Less(t, chains, empties/20)
	if isX86 {
		require.NotZero(t, pushes)
	}
}

// A leaf function without a frame, a prologue and the start of all stacks, in an
// executable without symbols.
func TestStrippedGo(t *testing.T) {
	for _, arch := range []string{"amd64", "arm64"} {
		t.Run(arch, func(t *testing.T) {
			full := buildGo(t, arch)
			stripped := buildGo(t, arch, "-ldflags=-s -w")
			p := newPool(16)
			table, err := p.Build(mapFile(t, stripped))
			require.NoError(t, err)
			empty := Rule{Kind: KindGoSP, CFAOff: 8, RAOff: -8}
			if arch == "arm64" {
				empty = Rule{Kind: KindGoSP, Reg: RegLR}
			}
			syms := symbols(t, full)
			leaf, framed := syms["main.leaf"], syms["main.framed"]
			for pc := leaf.Value; pc < leaf.Value+leaf.Size; pc++ {
				r, ok := p.Lookup(table, pc)
				require.True(t, ok)
				require.Equal(t, empty, r, "%#x", pc)
			}
			r, _ := p.Lookup(table, framed.Value)
			assert.Equal(t, empty, r)
			r, _ = p.Lookup(table, framed.Value+framed.Size/2)
			assert.Equal(t, Rule{Kind: KindFPChain}, r)
			for name, s := range syms {
				if name == "runtime.goexit" || strings.HasPrefix(name, "runtime.goexit.") {
					r, _ = p.Lookup(table, s.Value)
					assert.Equal(t, Rule{Kind: KindEnd}, r)
				}
				if strings.HasPrefix(name, "runtime.sigtramp.") || name == "runtime.sigtramp" {
					r, _ = p.Lookup(table, s.Value+s.Size/2)
					assert.Equal(t, Rule{Kind: KindFPChain}, r)
				}
			}
		})
	}
}
