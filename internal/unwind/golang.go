package unwind

import (
	"bytes"
	"errors"
	"fmt"
)

// goCode is what Go's pclntab tells about how stacks move. Layout: Go 1.18 and
// later, src/runtime/symtab.go (pcHeader, functab) and src/runtime/runtime2.go
// (_func). Older ones are refused.
type goCode struct {
	start, end uint64 // addresses of the code it covers
	text       uint64 // address that offsets count from
	code       section
	quantum    uint64 // size of the smallest instruction
	funcs      []byte // the table of functions, and their descriptions
	n          int
	pcs        []byte // pc-value tables
	names      []byte
	flagAt     uint64
}

const (
	goMagic118 = 0xfffffff0
	goMagic120 = 0xfffffff1

	goFuncSize = 44 // of _func, at least
	goPCSPAt   = 16 // offset of _func.pcsp
	goNameAt   = 4

	// Bits of _func.flag (internal/abi.FuncFlag).
	goTopFrame = 1
	goSPWrite  = 2

	pushRBP = 0x55 // the x86-64 instruction
)

// sigtramp is what signal handlers start in. It is marked as the top of a stack,
// but frame pointers lead on to what was interrupted.
var goSigtramp = []byte("runtime.sigtramp")

var errGo = errors.New("no Go function table of Go 1.18 or later")

// parseGo reads the header of a pclntab.
func parseGo(im *image) (*goCode, error) {
	b := im.pclntab.data
	h, ok := sub(b, 0, 72)
	if !ok {
		return nil, fmt.Errorf("%w: header cut off", errGo)
	}
	g := &goCode{quantum: uint64(h[6]), flagAt: 41}
	switch magic := le.Uint32(h); magic {
	case goMagic120:
	case goMagic118:
		g.flagAt = 37 // there was no startLine
	default:
		return nil, fmt.Errorf("%w: magic %#x", errGo, magic)
	}
	if h[4] != 0 || h[5] != 0 || (g.quantum != 1 && g.quantum != 4) || h[7] != 8 {
		return nil, fmt.Errorf("%w: header % x", errGo, h[:8])
	}
	for _, t := range []struct {
		at  int
		dst *[]byte
	}{{32, &g.names}, {56, &g.pcs}, {64, &g.funcs}} {
		off := le.Uint64(h[t.at:])
		if off >= uint64(len(b)) {
			return nil, fmt.Errorf("%w: table at offset %d of %d", errGo, off, len(b))
		}
		*t.dst = b[off:]
	}
	// One pair per function, and the end of the text behind the last one.
	n := le.Uint64(h[8:])
	if n == 0 || n > uint64(len(g.funcs)-4)/8 || len(g.funcs) < 4 {
		return nil, fmt.Errorf("%w: %d functions in %d bytes", errGo, n, len(g.funcs))
	}
	g.n = int(n)
	if g.text = le.Uint64(h[24:]); g.text == 0 {
		// Go 1.26, and position independent executables.
		g.text = im.goText()
	}
	g.start, g.end = g.entry(0), g.entry(g.n)
	if g.start < im.lo || g.end > im.hi || g.end <= g.start {
		return nil, fmt.Errorf("%w: code from %#x to %#x is not within the executable segments", errGo, g.start, g.end)
	}
	g.code, _ = im.at(g.start)
	return g, nil
}

// entry returns the address of function i; that of function n is the end.
func (g *goCode) entry(i int) uint64 { return g.text + uint64(le.Uint32(g.funcs[8*i:])) }

// goFunctions writes the rows of all functions of Go.
func (b *builder) goFunctions(t *Table) {
	g := b.code
	b.begin(g.start)
	b.end = g.start
	end := g.start
	rules := b.out.goRules(b.arch)
	for i := range g.n {
		start := end
		if end = g.entry(i + 1); end < start || end > g.end {
			t.Malformed++ // the table is not sorted
			break
		}
		b.out.row(start, ruleFPChain)
		f, ok := sub(g.funcs, uint64(le.Uint32(g.funcs[8*i+4:])), goFuncSize)
		if !ok {
			t.Malformed++
			continue
		}
		flag := f[g.flagAt]
		name, _ := sub(g.names, uint64(le.Uint32(f[goNameAt:])), uint64(len(goSigtramp)))
		switch {
		case flag&goTopFrame != 0 && !bytes.Equal(name, goSigtramp):
			b.out.row(start, ruleEnd)
		case flag&goSPWrite != 0:
			// Where its stack pointer is, the table does not know.
		case !b.goFunction(start, end, le.Uint32(f[goPCSPAt:]), rules):
			t.Malformed++
			continue
		}
		t.Functions++
	}
	b.end = max(end, b.end)
}

// goFunction writes the rows of a function from its table of how far the stack
// pointer is below where it was at the call (pcsp), and returns whether that was
// understood. Go's compilers keep frame pointers, so only where there is none yet,
// or no longer, a rule is needed.
func (b *builder) goFunction(start, end uint64, table uint32, rules goRules) bool {
	g := b.code
	if table == 0 || uint64(table) >= uint64(len(g.pcs)) {
		return table == 0
	}
	c := cursor{b: g.pcs, i: int(table)}
	pc, delta, pushed := start, int32(-1), false
	for first := true; pc < end; first = false {
		change := uint32(c.uleb())
		if change == 0 && !first {
			return true
		}
		next := pc + uint64(uint32(c.uleb()))*g.quantum
		if b.work -= 2; c.bad || next <= pc || b.work < 0 {
			return false
		}
		delta += int32(-(change & 1) ^ change>>1)
		if delta == 8 && !pushed && b.arch == &archX86_64 {
			at := pc - 1 - g.code.addr
			pushed = pc > start && at < uint64(len(g.code.data)) && g.code.data[at] == pushRBP
		}
		rule := uint16(ruleFPChain)
		switch {
		case delta == 0:
			rule = rules.empty
		case delta == 8 && pushed:
			rule = rules.pushed
		}
		b.out.row(pc, rule)
		pc = next
	}
	return true
}

// goRules are the numbers of the rules that Go's code needs.
type goRules struct{ empty, pushed uint16 }

func (w *writer) goRules(a *arch) goRules {
	if a == &archAArch64 {
		return goRules{empty: w.intern(Rule{Kind: KindGoSP, Reg: RegLR})}
	}
	return goRules{
		empty:  w.intern(Rule{Kind: KindGoSP, CFAOff: 8, RAOff: -8}),
		pushed: w.intern(Rule{Kind: KindGoSP, CFAOff: 16, RAOff: -8, FP: FPAtCFA, FPOff: -16}),
	}
}
