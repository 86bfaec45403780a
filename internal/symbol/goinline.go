package symbol

// maxInline bounds the depth of functions that were inlined into one another.
const maxInline = 64

// goCall is an entry of the tree of inlined calls of a function.
type goCall struct {
	name      uint32 // of the called function, offset in the table of names
	parent    uint32 // an instruction of the call's line, relative to the function
	startLine int64  // 0 before Go 1.20
}

// call returns entry i of the inline tree of g. Layout: src/runtime,
// type inlinedCall, in symtab.go before Go 1.20, in symtabinl.go since.
func (t *pclntab) call(g goFunc, i int32) (goCall, bool) {
	if i < 0 || g.inlineTree == noFuncdata {
		return goCall{}, false
	}
	if !t.hasLine {
		// parent int16, funcID, pad, file, line, name, parentPc
		e, ok := sub(t.funcdata, uint64(g.inlineTree)+20*uint64(i), 20)
		if !ok {
			return goCall{}, false
		}
		return goCall{name: le.Uint32(e[12:]), parent: le.Uint32(e[16:])}, true
	}
	// funcID, 3 bytes of padding, name, parentPc, startLine
	e, ok := sub(t.funcdata, uint64(g.inlineTree)+16*uint64(i), 16)
	if !ok {
		return goCall{}, false
	}
	return goCall{
		name: le.Uint32(e[4:]), parent: le.Uint32(e[8:]), startLine: int64(int32(le.Uint32(e[12:]))),
	}, true
}

// goFrame is one function at an address, by offsets in the table.
type goFrame struct {
	name      uint32
	file      uint32 // noFuncdata if it is not known
	startLine int64
	line      int64
}

// frames appends the functions at addr, which lies in g: the innermost inlined
// one first, g itself last. Without the tree of inlined calls (see
// [goModule]) only g is known, and its line only where nothing is inlined.
func (t *pclntab) frames(g goFunc, addr uint64, dst []goFrame) []goFrame {
	budget := maxPCSteps
	for range maxInline {
		i := int32(-1)
		if g.inlineTable != 0 {
			if v, ok := t.value(g.inlineTable, g.entry, addr, &budget); ok {
				i = v
			}
		}
		if i < 0 {
			return append(dst, t.place(goFrame{name: g.name, startLine: g.startLine}, g, addr, &budget))
		}
		c, ok := t.call(g, i)
		if !ok {
			break
		}
		dst = append(dst, t.place(goFrame{name: c.name, startLine: c.startLine}, g, addr, &budget))
		addr = g.entry + uint64(c.parent)
	}
	f := t.place(goFrame{name: g.name, startLine: g.startLine}, g, g.entry, &budget)
	f.line = 0
	return append(dst, f)
}

// place adds the file and the line of an address in g.
func (t *pclntab) place(f goFrame, g goFunc, addr uint64, budget *int) goFrame {
	f.file = noFuncdata
	if v, ok := t.value(g.fileTable, g.entry, addr, budget); ok {
		f.file = t.file(g.cu, v)
	}
	if v, ok := t.value(g.lineTable, g.entry, addr, budget); ok && v > 0 {
		f.line = int64(v)
	}
	return f
}
