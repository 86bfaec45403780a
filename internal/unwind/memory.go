package unwind

import "fmt"

const (
	// ChunkRows is the number of rows in a chunk of 256 KiB.
	ChunkRows = 65536
	// PageBits is the size of a page of an executable's address space, 64 KiB.
	PageBits = 16
)

// Memory is where tables are kept. Package bpf implements it over mapped BPF
// arrays. A Pool serializes its calls.
type Memory interface {
	// Chunk returns the ChunkRows rows of chunk i, which is created on first use.
	Chunk(i int) ([]uint32, error)
	// Pages returns all page entries (see Page.Pack). They are stored atomically,
	// after the rows they refer to.
	Pages() []uint64
	// Rules returns all rules. A rule is written before rows refer to it, and
	// never changes after.
	Rules() []Rule
}

// Page tells where the rows of a page are. A page has its first row at its
// first address, so that the search never leaves it.
type Page struct {
	// Chunk is the number of the chunk, First the index of the first row in it.
	Chunk, First uint16
	// Count is the number of rows; 0 if nothing is known about the page.
	Count uint16
}

// Pack returns the entry as it is in memory, a little-endian
// struct { __u16 chunk, first, count, pad; }.
func (p Page) Pack() uint64 {
	return uint64(p.Chunk) | uint64(p.First)<<16 | uint64(p.Count)<<32
}

// UnpackPage is the inverse of Page.Pack.
func UnpackPage(v uint64) Page {
	return Page{Chunk: uint16(v), First: uint16(v >> 16), Count: uint16(v >> 32)}
}

// heapMemory is Memory of this process alone.
type heapMemory struct {
	chunks [][]uint32
	pages  []uint64
	rules  []Rule
}

// NewHeapMemory returns Memory for up to so many chunks, pages and rules that
// no kernel sees, for tests and tools.
func NewHeapMemory(chunks, pages, rules int) Memory {
	return &heapMemory{make([][]uint32, chunks), make([]uint64, pages), make([]Rule, rules)}
}

func (m *heapMemory) Chunk(i int) ([]uint32, error) {
	if i < 0 || i >= len(m.chunks) {
		return nil, fmt.Errorf("create chunk: number %d, limit %d", i, len(m.chunks))
	}
	if m.chunks[i] == nil {
		m.chunks[i] = make([]uint32, ChunkRows)
	}
	return m.chunks[i], nil
}

func (m *heapMemory) Pages() []uint64 { return m.pages }
func (m *heapMemory) Rules() []Rule   { return m.rules }
