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
	raAtCFA            // at *(cfa + raOff)
	raUndefined        // there is no caller
	raOther            // something we do not support
)

// state is a row of the table that call frame instructions describe, reduced to
// the registers that are followed.
type state struct {
	cfa     Kind
	fp      FPKind
	ra      uint8
	cfaExpr bool // by DW_CFA_def_cfa_expression
	cfaReg  uint16
	cfaAdd  int16
	cfaOff  int64
	fpOff   int64
	raOff   int64
}

// setCFA sets the rule of the CFA to a register and an offset.
func (s *state) setCFA(reg uint64, off int64, a *arch) {
	s.cfaOff = off
	s.setCFAReg(reg, a)
}

func (s *state) setCFAReg(reg uint64, a *arch) {
	s.cfaReg, s.cfaExpr = 0, false
	switch {
	case reg == uint64(a.sp):
		s.cfa = KindSP
	case reg == uint64(a.fp):
		s.cfa = KindFP
	case reg <= uint64(a.maxReg) && a.machine == emX86_64:
		s.cfa, s.cfaReg = KindReg, uint16(reg)
	default:
		s.cfa = KindUnsupported
	}
}

// rule converts the state. signal is true for CIEs with augmentation 'S'.
func (s *state) rule(signal bool, a *arch) Rule {
	if signal && (s.cfaExpr || a.machine == emAArch64) {
		// The C library describes where the kernel saved the registers, by
		// expressions. On AArch64 the kernel's vdso describes the frame record that
		// the kernel made next to them, which lacks the interrupted address. Frames
		// on x86-64 which are marked as signal frames, but are described like any
		// other, are not made by the kernel.
		return Rule{Kind: KindSignal}
	}
	if s.ra == raUndefined {
		return Rule{Kind: KindEnd}
	}
	r := Rule{Kind: s.cfa, FP: s.fp, CFAOff: int32(s.cfaOff), Reg: s.cfaReg}
	if s.cfa == KindUnsupported || s.cfaOff != int64(int32(s.cfaOff)) {
		return Rule{Kind: KindUnsupported}
	}
	if a.machine == emX86_64 {
		if s.ra != raAtCFA || s.raOff != -8 {
			return Rule{Kind: KindUnsupported}
		}
		r.RAOff = -8
		if s.cfa == KindDerefSP || s.cfa == KindDerefFP {
			r.RAOff = s.cfaAdd
		}
	} else {
		switch {
		case s.ra == raSame:
			r.Reg = RegLR
		case s.ra == raAtCFA && s.raOff == int64(int16(s.raOff)):
			r.RAOff = int16(s.raOff)
		default:
			return Rule{Kind: KindUnsupported}
		}
	}
	switch {
	case s.fp == FPSame || s.fp == FPUndefined:
	case s.fpOff < math.MinInt16 || s.fpOff > math.MaxInt16:
		r.FP = FPUndefined
	default:
		r.FPOff = int16(s.fpOff)
	}
	return r
}
