package symbol

import (
	"os"
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

//go:noinline
func inlineLeaf(pcs []uintptr) []uintptr { return pcs[:runtime.Callers(2, pcs)] }

func inlineInner(pcs []uintptr) []uintptr { return inlineLeaf(pcs) }

func inlineMiddle(pcs []uintptr) []uintptr {
	if len(pcs) == 0 {
		return nil
	}
	return inlineInner(pcs)
}

//go:noinline
func inlineOuter(pcs []uintptr) []uintptr { return inlineMiddle(pcs) }

// TestInlinedCalls compares the functions at one address, three of them
// inlined, with what the runtime says.
func TestInlinedCalls(t *testing.T) {
	c := newTestCache(t, 64<<20)
	s := c.Space(os.Getpid())
	defer s.Close()
	pcs := inlineOuter(make([]uintptr, 16))
	f := s.Resolve(uint64(pcs[0]) - 1)
	require.NotNil(t, f.File)
	wait(t, c)
	syms := f.File.Lookup(f.Addr, nil)
	require.Len(t, syms, 3)
	frames := runtime.CallersFrames(pcs)
	for i, name := range []string{"inlineInner", "inlineMiddle", "inlineOuter"} {
		want, _ := frames.Next()
		assert.Contains(t, want.Function, name)
		assert.Equal(t, want.Function, syms[i].Name)
		assert.Equal(t, want.File, syms[i].File)
		assert.EqualValues(t, want.Line, syms[i].Line)
		assert.NotZero(t, syms[i].StartLine)
		assert.LessOrEqual(t, syms[i].StartLine, syms[i].Line)
	}
}
