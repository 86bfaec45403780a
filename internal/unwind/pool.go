package unwind

import (
	"errors"
	"fmt"
	"math"
	"math/bits"
	"sync"
	"sync/atomic"
)

var (
	// ErrNoInfo: the file has no call frame information.
	ErrNoInfo = errors.New("no call frame information")
	// ErrPoolFull: the limits of the pool do not allow another table of this size.
	ErrPoolFull = errors.New("unwind table memory is full")
	// ErrTooLarge: they do not allow it even if there were no other table.
	ErrTooLarge = errors.New("executable is too large for the unwind table memory")
)

// PoolOptions are the limits of a Pool. What the Memory can hold limits it too.
type PoolOptions struct {
	// MaxChunks of 256 KiB each, at most 65536.
	MaxChunks int
	// MaxPages of 64 KiB of address space, 8 bytes each.
	MaxPages int
	// MaxRules, at most 65535, 16 bytes each.
	MaxRules int
}

// Pool holds the tables of many executables. It is safe for concurrent use;
// one table is built at a time.
type Pool struct {
	mem   Memory
	opts  PoolOptions
	pages []uint64
	rules []Rule

	build sync.Mutex // held while a table is built
	out   writer     // reused by builds

	mu           sync.Mutex // guards what follows
	chunks       []chunk
	freePages    spans
	ruleIndex    map[Rule]uint16
	rulesRefused int
	tables, rows int
}

// chunk is one that was created.
type chunk struct {
	rows []uint32
	free uint64 // a bit per block
}

// Table is what the pool knows of an executable. It is immutable.
type Table struct {
	// PageBase is the index of the table's first entry in Memory.Pages, PageCount
	// their number.
	PageBase, PageCount uint32
	// FirstPage is the page (address >> PageBits) of the first entry.
	FirstPage uint32
	// Rows is the number of rows.
	Rows int
	// Functions is the number of functions with usable call frame information,
	// Malformed that of those whose information is broken.
	Functions, Malformed int
	// Unsupported counts rows with KindUnsupported.
	Unsupported int

	runs []run
}

// PoolStats is what a pool holds.
type PoolStats struct {
	// Tables, and Rows and Pages in them.
	Tables, Rows, Pages int
	// Chunks that were created, Blocks of 4 KiB that are used in them.
	Chunks, Blocks int
	// Bytes of the chunks that were created.
	Bytes int
	// Rules, and RulesRefused: how often a rule did not fit, whose rows have
	// KindUnsupported.
	Rules, RulesRefused int
}

// Rules with fixed numbers.
const (
	ruleNone = iota
	ruleUnsupported
	ruleFPChain
	ruleEnd
	ruleSignal
	fixedRules
)

// NewPool returns a pool without tables. The memory must have room for a few
// rules.
func NewPool(mem Memory, opts PoolOptions) *Pool {
	opts.MaxChunks = max(0, min(opts.MaxChunks, math.MaxUint16+1))
	opts.MaxPages = max(0, min(opts.MaxPages, len(mem.Pages())))
	opts.MaxRules = max(0, min(opts.MaxRules, len(mem.Rules()), math.MaxUint16))
	p := &Pool{
		mem: mem, opts: opts, pages: mem.Pages()[:opts.MaxPages], rules: mem.Rules()[:opts.MaxRules],
		ruleIndex: make(map[Rule]uint16),
	}
	p.freePages.give(span{0, uint32(opts.MaxPages)})
	for i, k := range [fixedRules]Kind{KindNone, KindUnsupported, KindFPChain, KindEnd, KindSignal} {
		if id, ok := p.intern(Rule{Kind: k}, true); !ok || int(id) != i {
			p.opts.MaxPages, p.pages, p.freePages = 0, nil, nil // every build is refused
		}
	}
	return p
}

// intern returns the number of a rule and whether it is new, which it may only
// be if add is true. If there is no room for it, it is ruleUnsupported.
func (p *Pool) intern(r Rule, add bool) (id uint16, added bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if id, ok := p.ruleIndex[r]; ok {
		return id, false
	}
	n := len(p.ruleIndex)
	if !add || n >= p.opts.MaxRules {
		p.rulesRefused++
		return ruleUnsupported, false
	}
	p.rules[n] = r
	p.ruleIndex[r] = uint16(n)
	return uint16(n), true
}

// takePages allocates n page entries.
func (p *Pool) takePages(n uint32) (uint32, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	base, ok := p.freePages.take(n)
	if !ok {
		return 0, fmt.Errorf("%w: %d pages of address space wanted, %d of %d free", ErrPoolFull, n, p.freePages.free(), p.opts.MaxPages)
	}
	return base, nil
}

// takeBlocks allocates n blocks in one chunk, first fit, for a table that has so
// many already.
func (p *Pool) takeBlocks(n, has int) (run, []uint32, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range p.chunks {
		if b, ok := findRun(p.chunks[i].free, n); ok {
			r := run{i, b, n}
			p.chunks[i].free &^= r.mask()
			return r, p.chunks[i].rows, nil
		}
	}
	i := len(p.chunks)
	if has+n > p.opts.MaxChunks*chunkBlocks {
		return run{}, nil, fmt.Errorf("%w: more than %d rows", ErrTooLarge, p.opts.MaxChunks*ChunkRows)
	}
	if i >= p.opts.MaxChunks {
		return run{}, nil, fmt.Errorf("%w: all %d chunks are in use", ErrPoolFull, p.opts.MaxChunks)
	}
	rows, err := p.mem.Chunk(i)
	if err != nil {
		return run{}, nil, fmt.Errorf("allocate rows: %w", err)
	}
	if len(rows) < ChunkRows {
		return run{}, nil, fmt.Errorf("allocate rows: chunk of %d rows, want %d", len(rows), ChunkRows)
	}
	r := run{i, 0, n}
	p.chunks = append(p.chunks, chunk{rows[:ChunkRows], ^r.mask()})
	return r, p.chunks[i].rows, nil
}

// extend makes a run longer by n blocks if those behind it are free.
func (p *Pool) extend(r *run, n int) bool {
	if r.blocks == 0 || r.block+r.blocks+n > chunkBlocks {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	more := run{r.chunk, r.block + r.blocks, n}.mask()
	if p.chunks[r.chunk].free&more != more {
		return false
	}
	p.chunks[r.chunk].free &^= more
	r.blocks += n
	return true
}

// Free gives back the memory of a table. The caller guarantees that nobody
// reads it any more, and that it is freed once.
func (p *Pool) Free(t *Table) {
	p.release(t)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tables--
	p.rows -= t.Rows
}

func (p *Pool) release(t *Table) {
	for i := range p.pages[t.PageBase : t.PageBase+t.PageCount] {
		atomic.StoreUint64(&p.pages[int(t.PageBase)+i], 0)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.freePages.give(span{t.PageBase, t.PageCount})
	for _, r := range t.runs {
		p.chunks[r.chunk].free |= r.mask()
	}
}

// Lookup returns the rule for an address of the executable, as it was linked,
// or false if the table does not reach there. It is the algorithm of the BPF
// program.
func (p *Pool) Lookup(t *Table, addr uint64) (Rule, bool) {
	n := addr>>PageBits - uint64(t.FirstPage)
	if n >= uint64(t.PageCount) {
		return Rule{}, false
	}
	page := UnpackPage(atomic.LoadUint64(&p.pages[uint64(t.PageBase)+n]))
	if page.Count == 0 {
		return Rule{}, false
	}
	p.mu.Lock()
	rows := p.chunks[page.Chunk].rows
	p.mu.Unlock()
	low := uint32(addr) & 0xffff
	// lo is the last row known to begin at or before the address.
	lo, hi := uint32(page.First), uint32(page.First)+uint32(page.Count)
	for range PageBits {
		if hi-lo <= 1 {
			break
		}
		mid := (lo + hi) / 2
		if rows[mid&(ChunkRows-1)]&0xffff <= low {
			lo = mid
		} else {
			hi = mid
		}
	}
	return p.rules[rows[lo&(ChunkRows-1)]>>16], true
}

// Stats returns what the pool holds.
func (p *Pool) Stats() PoolStats {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := PoolStats{
		Tables: p.tables, Rows: p.rows, Pages: p.opts.MaxPages - p.freePages.free(),
		Chunks: len(p.chunks), Bytes: len(p.chunks) * ChunkRows * 4,
		Rules: len(p.ruleIndex), RulesRefused: p.rulesRefused,
	}
	for _, c := range p.chunks {
		s.Blocks += chunkBlocks - bits.OnesCount64(c.free)
	}
	return s
}
