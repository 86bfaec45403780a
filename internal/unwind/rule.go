package unwind

// Kind says how the canonical frame address (CFA: the stack pointer of the
// caller, as DWARF defines it) of a frame is computed. The numbers are known to
// the BPF program.
type Kind = uint8

const (
	// KindNone: nothing is known; the walk stops.
	KindNone Kind = iota
	// KindSP: cfa = sp + CFAOff.
	KindSP
	// KindFP: cfa = fp + CFAOff.
	KindFP
	// KindDerefSP: cfa = *(sp + CFAOff) + RAOff. The return address is at cfa-8.
	// x86-64 only.
	KindDerefSP
	// KindDerefFP: cfa = *(fp + CFAOff) + RAOff. The return address is at cfa-8.
	// x86-64 only: functions that realign their stack.
	KindDerefFP
	// KindPLT: an entry of the x86-64 procedure linkage table, 16 bytes each, in
	// which something is pushed before offset Reg:
	// cfa = sp + 8 + (pc&15 >= Reg ? 8 : 0).
	KindPLT
	// KindSignal: the return of a signal handler; the registers of the
	// interrupted function are in the rt_sigframe at sp.
	KindSignal
	// KindEnd: the outermost frame, it has no caller.
	KindEnd
	// KindFPChain: code without call frame information; the frame pointer chain
	// is followed: caller's fp = *fp, return address = *(fp+8), cfa = fp+16.
	KindFPChain
	// KindReg: cfa = register Reg + CFAOff, Reg by its DWARF number. Only usable
	// in the leaf frame, where all registers are known. x86-64 only.
	KindReg
	// KindUnsupported: there is call frame information, but this package or the
	// BPF program cannot express it.
	KindUnsupported
	// KindGoSP: code of Go's compiler where the frame pointer is not set up. As
	// KindSP, but only valid in the leaf frame; in other frames it is as
	// KindFPChain, because Go switches stacks within a call chain.
	KindGoSP
)

// FPKind says how the frame pointer of the caller (rbp, x29) is found.
type FPKind = uint8

const (
	// FPSame: the caller's frame pointer is in the register.
	FPSame FPKind = iota
	// FPAtCFA: it is at *(cfa + FPOff).
	FPAtCFA
	// FPAtFP: it is at *(fp + FPOff).
	FPAtFP
	// FPUndefined: it is lost. Frames that need it end the walk.
	FPUndefined
)

// RegLR in Reg of a rule for AArch64 says that the return address is still in
// the link register, which is only known in the leaf frame. Otherwise the return
// address is at *(cfa + RAOff). Return addresses on AArch64 may carry a pointer
// authentication code in their upper bits, which must be stripped always: rules
// do not tell.
const RegLR = 1

// Rule tells how to get from a frame to its caller. The layout is that of
// struct unwind_rule in the kernel.
type Rule struct {
	Kind Kind
	FP   FPKind
	// FPOff is in bytes, for FPAtCFA and FPAtFP.
	FPOff int16
	// CFAOff is in bytes.
	CFAOff int32
	// RAOff is where the return address is, relative to the CFA; on x86-64 always
	// -8. The two Deref kinds use it for what is added to the value read.
	RAOff int16
	// Reg is the register of KindReg, the threshold of KindPLT, and on AArch64
	// RegLR or 0.
	Reg uint16
	_   uint32
}
