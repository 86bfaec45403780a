package unwind

import (
	"errors"
	"fmt"
)

const (
	// maxGap is how far the next function may begin behind the end of one, in
	// bytes, for the space between to be padding. It keeps the last rule of the
	// function before it, which costs no row. What is larger is code without
	// information, of assemblers and JITs: KindFPChain.
	maxGap = 16
	// workFactor times the size of a file is interpreted at most.
	workFactor = 4
)

// Build makes the table of an executable or shared object, of which data is the
// whole file, or the image of the vdso. Only x86-64 and AArch64 are supported.
// It reads .eh_frame through the index that linkers add, or without it,
// .debug_frame if there is no .eh_frame, and for the code of Go's compiler the
// pclntab.
//
// The table covers all executable segments: addresses in them that nothing is
// known about have KindFPChain.
//
// Errors are ErrNoInfo, ErrPoolFull, ErrTooLarge, or say what is wrong with the file. Nothing
// is kept of a table that failed, even if reading data panics because the mapped
// file was truncated.
func (p *Pool) Build(data []byte) (*Table, error) {
	im, err := parseImage(data)
	if err != nil {
		return nil, err
	}
	p.build.Lock()
	defer p.build.Unlock()
	b := builder{im: im, out: &p.out, arch: &archX86_64, work: workFactor * int64(len(data))}
	if im.machine == emAArch64 {
		b.arch = &archAArch64
	}
	first, last := im.lo>>PageBits, (im.hi-1)>>PageBits
	if last-first >= uint64(p.opts.MaxPages) {
		return nil, fmt.Errorf("%w: executable segments from %#x to %#x span %d pages, limit %d", ErrTooLarge, im.lo, im.hi, last-first+1, p.opts.MaxPages)
	}
	if err := b.open(); err != nil {
		return nil, err
	}
	t := &Table{FirstPage: uint32(first), PageCount: uint32(last - first + 1)}
	if t.PageBase, err = p.takePages(t.PageCount); err != nil {
		return nil, err
	}
	done := false
	defer func() {
		if !done {
			p.release(t)
		}
	}()
	b.out.start(p, t)
	if err := b.fill(t); err != nil {
		return nil, err
	}
	if t.Functions == 0 {
		return nil, fmt.Errorf("%w: none of %d functions is described in a way that is understood", ErrNoInfo, t.Malformed)
	}
	p.mu.Lock()
	p.tables++
	p.rows += t.Rows
	p.mu.Unlock()
	done = true
	return t, nil
}

// builder is the state of one Build.
type builder struct {
	im    *image
	arch  *arch
	out   *writer
	work  int64
	fdes  fdeReader
	index index
	code  *goCode // nil if it is no Go program
	end   uint64  // where the last function ended
}

// open finds the sources.
func (b *builder) open() error {
	im := b.im
	var goErr, err error
	if im.pclntab.data != nil {
		b.code, goErr = parseGo(im)
	}
	f := &frames{section: im.ehFrame}
	if f.data == nil && b.code == nil {
		f.section, f.debug = im.debugFrame, true
	}
	if f.data == nil {
		if b.code != nil {
			return nil
		}
		if goErr != nil {
			return fmt.Errorf("%w: %w", ErrNoInfo, goErr)
		}
		return ErrNoInfo
	}
	f.bases = bases{section: f.addr, text: im.text.addr, hasText: im.text.data != nil}
	m := &machine{arch: b.arch, bases: &f.bases, out: b.out}
	b.fdes = fdeReader{frames: f, machine: m, cies: make(map[uint64]*cie), work: b.work}
	var ok bool
	if b.index, ok = hdrIndex(im.ehFrameHdr, f, &b.fdes); !ok {
		b.index, err = scanIndex(f, &b.fdes, im.lo, im.hi)
	}
	if b.code != nil {
		return nil // what C parts there are is less important
	}
	if err == nil && b.index.n == 0 {
		err = fmt.Errorf("%w: no function is described", ErrNoInfo)
	}
	return err
}

// fill writes all rows.
func (b *builder) fill(t *Table) error {
	b.end = b.im.lo
	t.Malformed = b.index.malformed
	b.out.row(b.im.lo, ruleFPChain)
	for i := range b.index.n {
		start, off := b.index.at(i)
		next := b.im.hi
		if i+1 < b.index.n {
			next, _ = b.index.at(i + 1)
		}
		if b.code != nil && start >= b.code.start {
			if b.code.end > b.end {
				b.goFunctions(t)
			}
			if start < b.code.end {
				continue
			}
		}
		if err := b.function(t, start, off, next); err != nil {
			return err
		}
	}
	if b.code != nil && b.code.end > b.end {
		b.goFunctions(t)
	}
	if b.end < b.im.hi {
		b.out.row(b.end, ruleFPChain)
	}
	return b.out.finish()
}

// begin says that a function begins at start.
func (b *builder) begin(start uint64) {
	if start-b.end > maxGap || b.end == b.im.lo {
		b.out.row(b.end, ruleFPChain)
	}
}

// function writes the rows of the function whose FDE is at off, up to where the
// next one begins. Broken ones are counted. Errors end the build.
func (b *builder) function(t *Table, start, off, next uint64) error {
	if start < b.end || start >= b.im.hi || next <= start {
		return nil // outside of code, or a second description of a function
	}
	d, err := b.fdes.read(off)
	if err != nil || d.start != start {
		if errors.Is(err, errWork) {
			return fmt.Errorf("read call frame information: %w", err)
		}
		t.Malformed++
		return nil
	}
	if d.size == 0 {
		return nil
	}
	if err := b.fdes.spend(len(d.code)); err != nil {
		return fmt.Errorf("read call frame information: %w", err)
	}
	limit := min(start+d.size, next, b.im.hi)
	if b.code != nil && start < b.code.start {
		limit = min(limit, b.code.start)
	}
	b.begin(start)
	s := d.cie.initial
	pc, err := b.fdes.machine.run(d.code, d.codeAt, d.cie, &s, start, limit)
	if err != nil {
		t.Malformed++
		b.out.row(pc, ruleUnsupported)
	} else {
		t.Functions++
	}
	b.end = limit
	return b.out.err
}
