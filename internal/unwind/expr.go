package unwind

// DWARF operations that compilers and assemblers use for frames (DWARF 5
// chapter 7.7.1).
const (
	opDeref      = 0x06
	opConst1u    = 0x08
	opConst1s    = 0x09
	opConst2u    = 0x0a
	opConst2s    = 0x0b
	opConst4u    = 0x0c
	opConst4s    = 0x0d
	opConst8u    = 0x0e
	opConst8s    = 0x0f
	opConstu     = 0x10
	opConsts     = 0x11
	opAnd        = 0x1a
	opMinus      = 0x1c
	opPlus       = 0x22
	opPlusUconst = 0x23
	opShl        = 0x24
	opGe         = 0x2a
	opLit0       = 0x30
	opLit31      = 0x4f
	opBreg0      = 0x70
	opBreg31     = 0x8f
	opNop        = 0x96
)

// breg reads DW_OP_bregN offset.
func (c *cursor) breg() (reg uint16, off int64, ok bool) {
	op := c.u8()
	if op < opBreg0 || op > opBreg31 {
		return 0, 0, false
	}
	off = c.sleb()
	return uint16(op - opBreg0), off, !c.bad
}

// addends reads operations to the end of the expression that add to the top of
// the stack or take from it, and returns the sum.
func (c *cursor) addends() (sum int64, ok bool) {
	for c.i < len(c.b) && !c.bad {
		op := c.u8()
		if op == opNop {
			continue
		}
		if op == opPlusUconst {
			sum += int64(c.uleb())
			continue
		}
		v, isConst := c.constant(op)
		if !isConst {
			return 0, false
		}
		switch c.u8() {
		case opPlus:
			sum += v
		case opMinus:
			sum -= v
		default:
			return 0, false
		}
	}
	return sum, !c.bad
}

func (c *cursor) constant(op byte) (int64, bool) {
	switch op {
	case opConst1u:
		return int64(c.u8()), true
	case opConst1s:
		return int64(int8(c.u8())), true
	case opConst2u:
		return int64(c.u16()), true
	case opConst2s:
		return int64(int16(c.u16())), true
	case opConst4u:
		return int64(c.u32()), true
	case opConst4s:
		return int64(int32(c.u32())), true
	case opConst8u, opConst8s:
		return int64(c.u64()), true
	case opConstu:
		return int64(c.uleb()), true
	case opConsts:
		return c.sleb(), true
	}
	if op >= opLit0 && op <= opLit31 {
		return int64(op - opLit0), true
	}
	return 0, false
}

// pltExpr recognizes what assemblers and linkers say of the procedure linkage
// table: breg7 8; breg16 0; lit15; and; litN; ge; lit3; shl; plus.
func pltExpr(e []byte) (threshold uint16, ok bool) {
	ok = len(e) == 11 && e[0] == opBreg0+regRSP && e[1] == 8 && e[2] == opBreg0+regRIP && e[3] == 0 &&
		e[4] == opLit0+15 && e[5] == opAnd && e[6] >= opLit0 && e[6] <= opLit0+15 && e[7] == opGe &&
		e[8] == opLit0+3 && e[9] == opShl && e[10] == opPlus
	if !ok {
		return 0, false
	}
	return uint16(e[6] - opLit0), true
}

// setCFAExpr sets the rule of the CFA from a DWARF expression.
func (s *state) setCFAExpr(e []byte, a *arch) {
	s.setCFAOff(0)
	s.cfaExpr(e, a)
	s.kind |= flagExpr
}

func (s *state) cfaExpr(e []byte, a *arch) {
	s.setCFA(KindUnsupported, 0, 0)
	if n, ok := pltExpr(e); ok && a.machine == emX86_64 {
		s.setCFA(KindPLT, n, 0)
		return
	}
	c := cursor{b: e}
	reg, off, ok := c.breg()
	if !ok {
		return
	}
	deref := c.i < len(e) && e[c.i] == opDeref
	if deref {
		c.i++
	}
	add, ok := c.addends()
	switch {
	case !ok:
	case !deref: // what DW_CFA_def_cfa could have said
		s.setCFAReg(uint64(reg), a)
		s.setCFAOff(off + add)
	case a.machine != emX86_64 || add != int64(int16(add)):
	case reg == a.sp:
		s.setCFA(KindDerefSP, 0, int16(add))
		s.setCFAOff(off)
	case reg == a.fp:
		s.setCFA(KindDerefFP, 0, int16(add))
		s.setCFAOff(off)
	}
}

// setFPExpr sets the rule of the frame pointer from a DWARF expression for the
// address at which it is saved. The CFA is on the expression's stack, but the
// expressions that compilers emit do not use it.
func (s *state) setFPExpr(e []byte, a *arch) {
	s.setFP(FPUndefined, 0)
	c := cursor{b: e}
	reg, off, ok := c.breg()
	if !ok || reg != a.fp {
		return
	}
	if add, ok := c.addends(); ok {
		s.setFP(FPAtFP, off+add)
	}
}
