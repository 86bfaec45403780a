package unwind

import "math"

// Numbers of registers in DWARF.
const (
	regRBP = 6
	regRSP = 7
	regRIP = 16
)

// arch is what differs between machines.
type arch struct {
	machine uint16
	sp, fp  uint16
	maxReg  uint16 // the last register that KindReg can name
}

var (
	archX86_64  = arch{machine: emX86_64, sp: regRSP, fp: regRBP, maxReg: 15}
	archAArch64 = arch{machine: emAArch64, sp: 31, fp: 29, maxReg: 30}
)

// Where the return address is.
const (
	raSame      = iota // in its register: AArch64 only
	raAtCFA            // at *(cfa + offset)
	raUndefined        // there is no caller
	raOther            // something that is not supported
)

// state is a row of the table that call frame instructions describe, reduced to
// the registers that are followed. It is packed in two words, because there are
// millions of rows, but few different ones: comparing and hashing states is most
// of the work.
type state struct {
	// kind: Kind, FPKind, where the return address is, flags, 8 bits each; then
	// the offset of the CFA, 32 bits.
	kind uint64
	// off: register of the CFA, what is added to a CFA that was read, offset of
	// the frame pointer, offset of the return address; 16 bits each.
	off uint64
}

// Flags of a state.
const (
	flagSignal = 1 << 24 // its CIE has augmentation 'S'
	flagExpr   = 1 << 25 // the CFA is computed by an expression
	flagRange  = 1 << 26 // the offset of the CFA does not fit
)

func (s *state) setCFAOff(off int64) {
	s.kind = s.kind&^(math.MaxUint32<<32|flagRange) | uint64(off)<<32
	if off != int64(int32(off)) {
		s.kind |= flagRange
	}
}

// setCFA sets the kind of the CFA, the register, and what is added.
func (s *state) setCFA(kind Kind, reg uint16, add int16) {
	s.kind = s.kind&^(0xff|flagExpr) | uint64(kind)
	s.off = s.off&^math.MaxUint32 | uint64(reg) | uint64(uint16(add))<<16
}

// setCFAReg sets the rule of the CFA to a register; the offset stays.
func (s *state) setCFAReg(reg uint64, a *arch) {
	switch {
	case reg == uint64(a.sp):
		s.setCFA(KindSP, 0, 0)
	case reg == uint64(a.fp):
		s.setCFA(KindFP, 0, 0)
	case reg <= uint64(a.maxReg) && a.machine == emX86_64:
		s.setCFA(KindReg, uint16(reg), 0)
	default:
		s.setCFA(KindUnsupported, 0, 0)
	}
}

// setFP sets where the frame pointer is. One that is too far away is lost.
func (s *state) setFP(kind FPKind, off int64) {
	if off != int64(int16(off)) {
		kind, off = FPUndefined, 0
	}
	s.kind = s.kind&^0xff00 | uint64(kind)<<8
	s.off = s.off&^(0xffff<<32) | uint64(uint16(off))<<32
}

// setRA sets where the return address is.
func (s *state) setRA(where uint8, off int64) {
	if off != int64(int16(off)) {
		where, off = raOther, 0
	}
	s.kind = s.kind&^0xff0000 | uint64(where)<<16
	s.off = s.off&^(0xffff<<48) | uint64(uint16(off))<<48
}

// restoreFP sets the frame pointer as it is in another state.
func (s *state) restoreFP(from *state) {
	s.kind = s.kind&^0xff00 | from.kind&0xff00
	s.off = s.off&^(0xffff<<32) | from.off&(0xffff<<32)
}

// restoreRA sets the return address as it is in another state.
func (s *state) restoreRA(from *state) {
	s.kind = s.kind&^0xff0000 | from.kind&0xff0000
	s.off = s.off&^(0xffff<<48) | from.off&(0xffff<<48)
}

// rule converts the state.
func (s *state) rule(a *arch) Rule {
	if s.kind&flagSignal != 0 && (s.kind&flagExpr != 0 || a.machine == emAArch64) {
		// The C library describes where the kernel saved the registers, by
		// expressions. On AArch64 the kernel's vdso describes the frame record that
		// the kernel made next to them, which lacks the interrupted address. Frames
		// on x86-64 which are marked as signal frames, but are described like any
		// other, are not made by the kernel.
		return Rule{Kind: KindSignal}
	}
	ra, raOff := uint8(s.kind>>16), int16(s.off>>48)
	if ra == raUndefined {
		return Rule{Kind: KindEnd}
	}
	r := Rule{
		Kind: Kind(s.kind), CFAOff: int32(s.kind >> 32), Reg: uint16(s.off),
		FP: FPKind(s.kind >> 8), FPOff: int16(s.off >> 32), RAOff: raOff,
	}
	switch {
	case r.Kind == KindUnsupported || s.kind&flagRange != 0:
	case a.machine == emX86_64 && ra == raAtCFA && raOff == -8:
		if r.Kind == KindDerefSP || r.Kind == KindDerefFP {
			r.RAOff = int16(s.off >> 16)
		}
		return r
	case a.machine == emAArch64 && ra == raSame:
		r.Reg = RegLR
		return r
	case a.machine == emAArch64 && ra == raAtCFA:
		return r
	}
	return Rule{Kind: KindUnsupported}
}
