package symbol

import (
	"errors"
	"fmt"
	"sort"
)

// pclntab reads the function table that every Go executable carries, stripped
// or not, straight from the mapped file: nothing of it is copied. Layout: Go
// 1.18 and later, src/runtime/symtab.go (pcHeader, functab) and
// src/runtime/runtime2.go (_func). Tables of Go 1.17 and older are refused.
type pclntab struct {
	text    uint64 // address the function offsets count from
	quantum uint64 // smallest instruction
	ptrSize uint64

	nfunc     uint64
	hasLine   bool // _func has startLine (Go 1.20)
	funcs     []byte
	funcNames []byte
	cus       []byte
	files     []byte
	pcs       []byte
	funcdata  []byte // go:func.*, nil if it was not found
}

const (
	magicGo118 = 0xfffffff0
	magicGo120 = 0xfffffff1

	// inlinePCData is the index of the table that tells which instructions were
	// inlined (abi.PCDATA_InlTreeIndex), inlineFuncdata that of the tree of
	// inlined calls (abi.FUNCDATA_InlTree).
	inlinePCData   = 2
	inlineFuncdata = 3
	// noFuncdata is an offset that leads nowhere.
	noFuncdata = ^uint32(0)
	// maxPCSteps bounds the work on the pc-value tables of one lookup.
	maxPCSteps = 1 << 18
)

var errNotPclntab = errors.New("no Go function table of Go 1.18 or later")

// parsePclntab checks the header. The table's text is 0 when the header does
// not have it: Go 1.26, and position independent executables of any version.
func parsePclntab(b []byte) (*pclntab, error) {
	h, ok := sub(b, 0, 8)
	if !ok {
		return nil, errNotPclntab
	}
	magic := le.Uint32(h)
	if magic != magicGo118 && magic != magicGo120 {
		return nil, fmt.Errorf("%w: magic %#x", errNotPclntab, magic)
	}
	quantum, ptrSize := h[6], h[7]
	if h[4] != 0 || h[5] != 0 || (quantum != 1 && quantum != 2 && quantum != 4) || ptrSize != 8 {
		return nil, fmt.Errorf("%w: header % x", errNotPclntab, h)
	}
	var words [8]uint64 // nfunc, nfiles, textStart, then five offsets
	for i := range words {
		if words[i], ok = u64(b, 8+8*uint64(i)); !ok {
			return nil, fmt.Errorf("%w: header cut off", errNotPclntab)
		}
	}
	t := &pclntab{
		text: words[2], quantum: uint64(quantum), ptrSize: uint64(ptrSize),
		nfunc: words[0], hasLine: magic == magicGo120,
	}
	for i, dst := range []*[]byte{&t.funcNames, &t.cus, &t.files, &t.pcs, &t.funcs} {
		off := words[3+i]
		if off > uint64(len(b)) {
			return nil, fmt.Errorf("%w: table %d at offset %d of %d", errNotPclntab, i, off, len(b))
		}
		*dst = b[off:]
	}
	// One entry per function, and the end of the text behind the last one.
	if t.nfunc == 0 || t.nfunc > uint64(len(t.funcs))/8-min(1, uint64(len(t.funcs))/8) {
		return nil, fmt.Errorf("%w: %d functions in %d bytes", errNotPclntab, t.nfunc, len(t.funcs))
	}
	return t, nil
}

// entry returns where function i begins; entry(nfunc) is the end of the text.
func (t *pclntab) entry(i uint64) uint64 {
	return t.text + uint64(le.Uint32(t.funcs[8*i:]))
}

// bounds returns the addresses that the table covers.
func (t *pclntab) bounds() (from, to uint64) { return t.entry(0), t.entry(t.nfunc) }

// find returns the index of the function at addr.
func (t *pclntab) find(addr uint64) (uint64, bool) {
	if from, to := t.bounds(); addr < from || addr >= to {
		return 0, false
	}
	n := sort.Search(int(t.nfunc), func(i int) bool { return t.entry(uint64(i)) > addr })
	if n == 0 {
		return 0, false // not sorted: the file is broken
	}
	return uint64(n - 1), true
}

// goFunc is what the table knows of a function.
type goFunc struct {
	entry     uint64
	name      uint32 // offset in the table of names
	startLine int64  // 0 before Go 1.20

	fileTable, lineTable, inlineTable uint32
	inlineTree                        uint32 // offset in funcdata, or noFuncdata
	cu                                uint32
}

// function returns function i.
func (t *pclntab) function(i uint64) (goFunc, bool) {
	off := uint64(le.Uint32(t.funcs[8*i+4:]))
	f, ok := sub(t.funcs, off, 44)
	if !ok {
		return goFunc{}, false
	}
	g := goFunc{
		entry: t.entry(i), name: le.Uint32(f[4:]),
		fileTable: le.Uint32(f[20:]), lineTable: le.Uint32(f[24:]), cu: le.Uint32(f[32:]),
		inlineTree: noFuncdata,
	}
	pcdata := off + 40 // before Go 1.20 there is no startLine
	if t.hasLine {
		g.startLine = int64(int32(le.Uint32(f[36:])))
		pcdata = off + 44
	}
	npcdata, nfuncdata := uint64(le.Uint32(f[28:])), t.funcs[pcdata-1]
	if npcdata > inlinePCData {
		g.inlineTable, _ = u32(t.funcs, pcdata+4*inlinePCData)
	}
	if nfuncdata > inlineFuncdata {
		if tree, ok := u32(t.funcs, pcdata+4*(npcdata+inlineFuncdata)); ok {
			g.inlineTree = tree
		}
	}
	return g, len(t.name(g.name)) > 0
}

// name returns the name at an offset in the table of names. It aliases the file.
func (t *pclntab) name(off uint32) []byte { return cstring(t.funcNames, uint64(off)) }

// file returns the offset of a file's name by its number in a compilation unit,
// or noFuncdata.
func (t *pclntab) file(cu uint32, n int32) uint32 {
	if n < 0 {
		return noFuncdata
	}
	off, ok := u32(t.cus, 4*(uint64(cu)+uint64(n)))
	if !ok {
		return noFuncdata
	}
	return off
}

// fileName returns the file name at an offset that file returned, nil if there
// is none. It aliases the file.
func (t *pclntab) fileName(off uint32) []byte { return cstring(t.files, uint64(off)) }

// value looks addr up in the pc-value table at off: pairs of varints, a change
// of the value (zigzag) and the number of quanta it then holds for. It takes the
// steps that it needs from budget.
func (t *pclntab) value(off uint32, entry, addr uint64, budget *int) (int32, bool) {
	if off == 0 || uint64(off) >= uint64(len(t.pcs)) {
		return 0, false
	}
	p := t.pcs[off:]
	pc, v := entry, int32(-1)
	for first := true; *budget > 0; first = false {
		*budget--
		delta, n := uvarint(p)
		if n == 0 || delta == 0 && !first {
			return 0, false
		}
		v += int32(-(delta & 1) ^ (delta >> 1))
		quanta, m := uvarint(p[n:])
		if m == 0 {
			return 0, false
		}
		p = p[n+m:]
		pc += uint64(quanta) * t.quantum
		if addr < pc {
			return v, true
		}
	}
	return 0, false
}

// uvarint reads a varint of up to 32 bits; n is 0 if there is none.
func uvarint(p []byte) (v uint32, n int) {
	for shift := uint(0); n < len(p) && shift < 35; shift += 7 {
		b := p[n]
		n++
		v |= uint32(b&0x7f) << shift
		if b&0x80 == 0 {
			return v, n
		}
	}
	return 0, 0
}
