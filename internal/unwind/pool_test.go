package unwind

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// wave is an executable of one function with n rows, one at every step bytes
// from testText on, whose rules are CFA offsets 8*(1+i%kinds).
func wave(n, step, kinds int) []byte {
	var code []byte
	for i := range n {
		code = append(code, cfaDefCFAOffset, byte(8+8*(i%kinds)), cfaAdvanceLoc<<6|byte(step))
	}
	size := uint64(n * step)
	cie := testCIE(emX86_64)
	frames := append(cie, testFDE(len(cie), testText, size, code...)...)
	return makeELF(emX86_64, size, testSection{".eh_frame", testFrames, frames})
}

// checkWave looks up every row of a wave.
func checkWave(t *testing.T, p *Pool, table *Table, n, step, kinds int) {
	t.Helper()
	for i := range n {
		addr := uint64(testText + i*step)
		for _, a := range []uint64{addr, addr + uint64(step) - 1} {
			r, ok := p.Lookup(table, a)
			if !ok || r.CFAOff != int32(8+8*(i%kinds)) {
				t.Fatalf("row %d at %#x: %+v", i, a, r)
			}
		}
	}
}

func TestPageRoundTrip(t *testing.T) {
	for _, page := range []Page{{}, {1, 2, 3}, {65535, 65535, 65535}} {
		assert.Equal(t, page, UnpackPage(page.Pack()))
	}
}

// Rows fill pages to their limit and cross them.
func TestPageBoundaries(t *testing.T) {
	p := newPool(8)
	var tables []*Table
	for _, n := range []int{1, 2, 1023, 1024, 1025, 32768, 65534, 65535} {
		const step, kinds = 1, 2
		table, err := p.Build(wave(n, step, kinds))
		require.NoError(t, err, "%d rows", n)
		tables = append(tables, table)
		checkTable(t, p, table)
		checkWave(t, p, table, n, step, kinds)
	}
	for _, n := range []int{3, 9000, 50_000} {
		const step, kinds = 7, 3
		table, err := p.Build(wave(n, step, kinds))
		require.NoError(t, err)
		tables = append(tables, table)
		checkTable(t, p, table)
		checkWave(t, p, table, n, step, kinds)
	}
	checkPool(t, p, tables)
	_, err := p.Build(wave(65536, 1, 2))
	require.ErrorIs(t, err, errPageRows)
	checkPool(t, p, tables)
}

// After any sequence of builds, failures and frees the allocator is consistent,
// and tables tell what they told at first.
func TestRandomBuildsAndFrees(t *testing.T) {
	for seed := range uint64(2) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(seed, 1))
			p := NewPool(NewHeapMemory(3, 40, 100), PoolOptions{MaxChunks: 3, MaxPages: 40, MaxRules: 100})
			type built struct {
				table          *Table
				n, step, kinds int
			}
			var all []built
			full := 0
			for range 200 {
				if len(all) > 0 && rnd.IntN(3) == 0 {
					i := rnd.IntN(len(all))
					p.Free(all[i].table)
					all = append(all[:i], all[i+1:]...)
				} else {
					b := built{n: 1 + rnd.IntN(30_000), step: 1 + rnd.IntN(20), kinds: 2 + rnd.IntN(12)}
					table, err := p.Build(wave(b.n, b.step, b.kinds))
					if err != nil {
						require.True(t, errors.Is(err, ErrPoolFull) || errors.Is(err, ErrTooLarge), "%v", err)
						full++
					} else {
						b.table = table
						all = append(all, b)
						checkTable(t, p, table)
					}
				}
				var tables []*Table
				for _, b := range all {
					tables = append(tables, b.table)
				}
				checkPool(t, p, tables)
			}
			require.NotZero(t, full)
			for _, b := range all {
				checkWave(t, p, b.table, b.n, b.step, b.kinds)
				p.Free(b.table)
			}
			checkPool(t, p, nil)
			assert.Equal(t, spans{{0, 40}}, p.freePages)
		})
	}
}

// What never fits is told apart from what does not fit now.
func TestLimits(t *testing.T) {
	for name, o := range map[string]PoolOptions{
		"no chunks": {MaxPages: 10, MaxRules: 100},
		"no pages":  {MaxChunks: 1, MaxRules: 100},
		"few pages": {MaxChunks: 1, MaxPages: 1, MaxRules: 100},
		"few rows":  {MaxChunks: 1, MaxPages: 100, MaxRules: 100},
		"no rules":  {MaxChunks: 1, MaxPages: 10},
	} {
		t.Run(name, func(t *testing.T) {
			p := NewPool(NewHeapMemory(o.MaxChunks, o.MaxPages, o.MaxRules), o)
			_, err := p.Build(wave(70_000, 2, 2))
			require.ErrorIs(t, err, ErrTooLarge)
			require.NotErrorIs(t, err, ErrPoolFull)
			checkPool(t, p, nil)
		})
	}
	for name, o := range map[string]PoolOptions{
		"pages": {MaxChunks: 2, MaxPages: 3, MaxRules: 100},
		"rows":  {MaxChunks: 1, MaxPages: 100, MaxRules: 100},
	} {
		t.Run(name, func(t *testing.T) {
			p := NewPool(NewHeapMemory(o.MaxChunks, o.MaxPages, o.MaxRules), o)
			table, err := p.Build(wave(40_000, 2, 2))
			require.NoError(t, err)
			_, err = p.Build(wave(40_001, 2, 2))
			require.ErrorIs(t, err, ErrPoolFull)
			require.NotErrorIs(t, err, ErrTooLarge)
			checkPool(t, p, []*Table{table})
			p.Free(table)
			table, err = p.Build(wave(40_001, 2, 2))
			require.NoError(t, err)
			checkPool(t, p, []*Table{table})
		})
	}
}

// Rules that do not fit make rows that say so.
func TestRulesAreLimited(t *testing.T) {
	o := PoolOptions{MaxChunks: 1, MaxPages: 10, MaxRules: fixedRules + 3}
	p := NewPool(NewHeapMemory(1, 10, 100), o)
	table, err := p.Build(wave(100, 1, 5))
	require.NoError(t, err)
	assert.Equal(t, o.MaxRules, p.Stats().Rules)
	assert.NotZero(t, p.Stats().RulesRefused)
	assert.Equal(t, 20, table.Unsupported, "rules 4 and 5 become one")
	for i, want := range []Kind{KindSP, KindSP, KindSP, KindUnsupported, KindUnsupported, KindSP} {
		r, ok := p.Lookup(table, testText+uint64(i))
		require.True(t, ok)
		assert.Equal(t, want, r.Kind, "row %d", i)
	}
}

// chunkError is memory that refuses chunks.
type chunkError struct{ Memory }

var errChunk = errors.New("no memory")

func (chunkError) Chunk(int) ([]uint32, error) { return nil, errChunk }

func TestChunkErrors(t *testing.T) {
	p := NewPool(chunkError{NewHeapMemory(1, 10, 10)}, PoolOptions{MaxChunks: 1, MaxPages: 10, MaxRules: 10})
	_, err := p.Build(wave(10, 1, 2))
	require.ErrorIs(t, err, errChunk)
	checkPool(t, p, nil)
}

// A mapped file that is truncated while it is read raises a fault, which callers
// turn into a panic. The pool survives it.
func TestTruncatedMapping(t *testing.T) {
	path := filepath.Join(t.TempDir(), "program")
	data := wave(100_000, 1, 1) // one rule: one row per page
	require.NoError(t, os.WriteFile(path, data, 0o600))
	f, err := os.Open(path)
	require.NoError(t, err)
	defer func() { require.NoError(t, f.Close()) }()
	// The section headers are behind the frames: without them .eh_frame is found
	// in memory that is still there.
	mapped, err := syscall.Mmap(int(f.Fd()), 0, len(data), syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_PRIVATE)
	require.NoError(t, err)
	defer func() { require.NoError(t, syscall.Munmap(mapped)) }()
	last := len(mapped) - 1
	mapped[last] = mapped[last] + 0 // this page becomes our own
	require.NoError(t, os.Truncate(path, 8192))

	p := newPool(1)
	fault := func() (r any) {
		defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
		defer func() { r = recover() }()
		_, _ = p.Build(mapped)
		return nil
	}()
	require.NotNil(t, fault)
	checkPool(t, p, nil)
	table, err := p.Build(wave(10, 1, 2))
	require.NoError(t, err)
	checkPool(t, p, []*Table{table})
}

// Tables are built, read and freed at the same time.
func TestConcurrentUse(t *testing.T) {
	p := newPool(8)
	fixed, err := p.Build(wave(5000, 3, 4))
	require.NoError(t, err)
	var wg sync.WaitGroup
	for i := range 3 {
		wg.Go(func() {
			for range 20 {
				table, err := p.Build(wave(3000, 2, 2+i))
				if !assert.NoError(t, err) {
					return
				}
				checkWave(t, p, table, 3000, 2, 2+i)
				checkWave(t, p, fixed, 5000, 3, 4)
				_ = p.Stats()
				p.Free(table)
			}
		})
	}
	wg.Wait()
	checkPool(t, p, []*Table{fixed})
}
