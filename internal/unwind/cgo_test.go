package unwind

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const cgoProgram = `package main

/*
static int inC(int n) {
	volatile char buf[200];
	for (int i = 0; i < n; i++) buf[i] = i;
	return buf[n/2];
}
int (*function)(int) = inC;
static int call(int n) { return function(n); }
*/
import "C"

//go:noinline
func leaf(a, b int) int { return a*b + 1 }

func main() { println(leaf(int(C.call(100)), 2)) }
`

// A program of Go and C has rules of both kinds.
func TestCgo(t *testing.T) {
	for _, tool := range []string{"go", "gcc", "readelf"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is not installed", tool)
		}
	}
	for _, mode := range []string{"exe", "pie"} {
		t.Run(mode, func(t *testing.T) {
			dir := t.TempDir()
			require.NoError(t, os.WriteFile(filepath.Join(dir, "main.go"), []byte(cgoProgram), 0o600))
			path := filepath.Join(dir, "program")
			// Without .debug_frame readelf prints only what the C compiler made.
			cmd := exec.CommandContext(t.Context(), "go", "build", "-buildmode="+mode, "-ldflags=-w", "-o", path, "main.go")
			cmd.Dir = dir
			cmd.Env = append(os.Environ(), "CGO_ENABLED=1", "CC=gcc", "GOFLAGS=", "GO111MODULE=off")
			out, err := cmd.CombinedOutput()
			require.NoError(t, err, "%s", out)

			data := mapFile(t, path)
			if le.Uint16(data[18:]) != emX86_64 {
				t.Skip("this test knows the rules of x86-64")
			}
			compare(t, path, data, true, 1<<30)
			p := newPool(16)
			table, err := p.Build(data)
			require.NoError(t, err)
			syms := symbols(t, path)
			for name, want := range map[string]Kind{
				"main.leaf": KindGoSP, "inC": KindSP, "runtime.goexit.abi0": KindEnd, "_start": KindEnd,
			} {
				s, ok := syms[name]
				require.True(t, ok, name)
				r, ok := p.Lookup(table, s.Value+1)
				require.True(t, ok)
				assert.Equal(t, want, r.Kind, name)
			}
		})
	}
}
