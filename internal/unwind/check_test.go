package unwind

import (
	"math/bits"
	"testing"

	"github.com/stretchr/testify/require"
)

// checkTable checks what the BPF program relies on.
func checkTable(t testing.TB, p *Pool, table *Table) {
	t.Helper()
	rows := 0
	for i := range table.PageCount {
		page := UnpackPage(p.pages[table.PageBase+i])
		require.NotZero(t, page.Count)
		require.LessOrEqual(t, int(page.First)+int(page.Count), ChunkRows)
		data := p.chunks[page.Chunk].rows[page.First : int(page.First)+int(page.Count)]
		require.Zero(t, data[0]&0xffff, "the first row of page %d", i)
		for j, row := range data {
			repeats := j > 0 && (row&0xffff <= data[j-1]&0xffff || row>>16 == data[j-1]>>16)
			if repeats || int(row>>16) >= len(p.ruleIndex) || row>>16 == ruleNone {
				t.Fatalf("row %d of page %d is %#x, after %#x", j, i, row, data[max(0, j-1)])
			}
		}
		owned := false
		for _, r := range table.runs {
			first, last := int(page.First)/blockRows, (int(page.First)+int(page.Count)-1)/blockRows
			owned = owned || r.chunk == int(page.Chunk) && first >= r.block && last < r.block+r.blocks
		}
		require.True(t, owned, "page %d is not in blocks of its table", i)
		rows += int(page.Count)
	}
	require.Equal(t, table.Rows, rows)
}

// checkPool checks that the tables share no memory, and that the rest is free.
func checkPool(t testing.TB, p *Pool, tables []*Table) {
	t.Helper()
	used := make([]uint64, len(p.chunks))
	pages := make([]bool, len(p.pages))
	rows := 0
	for _, table := range tables {
		rows += table.Rows
		for _, r := range table.runs {
			require.Zero(t, used[r.chunk]&r.mask(), "blocks are shared")
			used[r.chunk] |= r.mask()
		}
		for i := table.PageBase; i < table.PageBase+table.PageCount; i++ {
			if pages[i] {
				t.Fatalf("page %d is shared", i)
			}
			pages[i] = true
		}
	}
	blocks, count := 0, 0
	for i, c := range p.chunks {
		require.Equal(t, ^used[i], c.free, "chunk %d", i)
		blocks += bits.OnesCount64(used[i])
	}
	free := make([]bool, len(p.pages))
	for i, s := range p.freePages {
		require.NotZero(t, s.count)
		if i > 0 {
			require.Greater(t, s.base, p.freePages[i-1].base+p.freePages[i-1].count, "free pages are sorted and merged")
		}
		for j := s.base; j < s.base+s.count; j++ {
			free[j] = true
		}
	}
	for i, is := range pages {
		if is == free[i] || !is && p.pages[i] != 0 {
			t.Fatalf("page %d: used %t, free %t, published %#x", i, is, free[i], p.pages[i])
		}
		if is {
			count++
		}
	}
	stats := p.Stats()
	require.Equal(t, PoolStats{
		Tables: len(tables), Rows: rows, Pages: count, Chunks: len(p.chunks), Blocks: blocks,
		Bytes: len(p.chunks) * ChunkRows * 4, Rules: len(p.ruleIndex), RulesRefused: stats.RulesRefused,
	}, stats)
}
