package unwind

import (
	"errors"
	"fmt"
	"sync/atomic"
)

const (
	// maxPageRows is what Page.Count can tell.
	maxPageRows = 65535
	// maxNewRules bounds the rules that one executable adds to those that all
	// share: 2 000 are needed for a program of 400 MB.
	maxNewRules = 8192

	ruleCacheBits = 10
)

var errPageRows = errors.New("too many rows")

// writer packs rows, which come in the order of their addresses, into a pool.
type writer struct {
	pool  *Pool
	table *Table

	page uint64   // the current one
	buf  []uint32 // its rows
	last uint16   // rule of the last row
	err  error    // the first error

	// Where the next page's rows go: within the last run of the table.
	chunk     []uint32
	next, end int

	newRules int
	cache    [1 << ruleCacheBits]cachedRule
}

type cachedRule struct {
	state
	id uint16 // 0 in empty entries: KindNone is never written
}

// start begins a table that has its pages.
func (w *writer) start(p *Pool, t *Table) {
	w.pool, w.table = p, t
	w.err, w.chunk, w.next, w.end, w.newRules = nil, nil, 0, 0, 0
	clear(w.cache[:]) // the same state is another rule on another machine
	if w.buf == nil {
		w.buf = make([]uint32, 0, maxPageRows)
	}
	w.begin(uint64(t.FirstPage), ruleFPChain)
}

// begin starts a page in which rule id holds.
func (w *writer) begin(page uint64, id uint16) {
	w.page, w.last = page, id
	w.buf = append(w.buf[:0], uint32(id)<<16)
}

// row says that rule id holds from addr on, which must be within the table's
// pages and not before the last one.
func (w *writer) row(addr uint64, id uint16) {
	if addr>>PageBits != w.page {
		w.turn(addr >> PageBits)
	}
	if id == w.last {
		return
	}
	low, n := uint32(addr&0xffff), len(w.buf)
	w.last = id
	if w.buf[n-1]&0xffff == low {
		w.buf[n-1] = low | uint32(id)<<16
		if n > 1 && uint16(w.buf[n-2]>>16) == id {
			w.buf = w.buf[:n-1]
		}
		return
	}
	if n == maxPageRows {
		w.fail(fmt.Errorf("read call frame information: %w: page %#x has more than %d", errPageRows, w.page<<PageBits, maxPageRows))
		return
	}
	w.buf = append(w.buf, low|uint32(id)<<16)
}

func (w *writer) fail(err error) {
	if w.err == nil {
		w.err = err
	}
}

// turn writes the current page and those up to the given one, in which nothing
// changes, and begins the latter.
func (w *writer) turn(to uint64) {
	for w.page < to && w.err == nil {
		w.flush()
		w.begin(w.page+1, w.last)
	}
	w.page = to
}

// finish writes the remaining pages.
func (w *writer) finish() error {
	w.turn(uint64(w.table.FirstPage) + uint64(w.table.PageCount) - 1)
	if w.err == nil {
		w.flush()
	}
	return w.err
}

// flush stores the rows of the current page, then publishes its entry.
func (w *writer) flush() {
	n := len(w.buf)
	if err := w.reserve(n); err != nil {
		w.fail(err)
		return
	}
	t := w.table
	copy(w.chunk[w.next:w.end], w.buf)
	for _, r := range w.buf {
		if r>>16 == ruleUnsupported {
			t.Unsupported++
		}
	}
	entry := Page{Chunk: uint16(t.runs[len(t.runs)-1].chunk), First: uint16(w.next), Count: uint16(n)}
	atomic.StoreUint64(&w.pool.pages[uint64(t.PageBase)+w.page-uint64(t.FirstPage)], entry.Pack())
	w.next += n
	t.Rows += n
}

// reserve makes sure that n rows fit at next.
func (w *writer) reserve(n int) error {
	missing := n - (w.end - w.next)
	if missing <= 0 {
		return nil
	}
	t := w.table
	if len(t.runs) > 0 {
		r := &t.runs[len(t.runs)-1]
		if w.pool.extend(r, blocks(missing)) {
			w.end = (r.block + r.blocks) * blockRows
			return nil
		}
	}
	has := 0
	for _, r := range t.runs {
		has += r.blocks
	}
	r, rows, err := w.pool.takeBlocks(blocks(n), has)
	if err != nil {
		return err
	}
	t.runs = append(t.runs, r)
	w.chunk, w.next, w.end = rows, r.block*blockRows, (r.block+r.blocks)*blockRows
	return nil
}

func blocks(rows int) int { return (rows + blockRows - 1) / blockRows }

// id returns the number of the rule of a state.
func (w *writer) id(s *state, a *arch) uint16 {
	c := &w.cache[((s.kind^s.off<<16)*0x9e3779b97f4a7c15)>>(64-ruleCacheBits)]
	if c.state == *s && c.id != 0 {
		return c.id
	}
	*c = cachedRule{*s, w.intern(s.rule(a))}
	return c.id
}

// intern returns the number of a rule, which is ruleUnsupported if there is no
// room for another one.
func (w *writer) intern(r Rule) uint16 {
	id, added := w.pool.intern(r, w.newRules < maxNewRules)
	if added {
		w.newRules++
	}
	return id
}
