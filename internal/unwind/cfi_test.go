package unwind

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// ruleOf returns the rule at the start of a function with these instructions.
func ruleOf(t *testing.T, machine uint16, code ...byte) Rule {
	t.Helper()
	p := newPool(1)
	table, err := p.Build(testProgram(machine, code...))
	require.NoError(t, err)
	require.Zero(t, table.Malformed)
	r, ok := p.Lookup(table, testText)
	require.True(t, ok)
	return r
}

func TestInstructions(t *testing.T) {
	plt := []byte{0x77, 8, 0x80, 0, 0x3f, 0x1a, 0x3b, 0x2a, 0x33, 0x24, 0x22}
	expr := func(op byte, e ...byte) []byte { return append([]byte{op, byte(len(e))}, e...) }
	fpExpr := func(op byte, e ...byte) []byte { return append([]byte{op, regRBP, byte(len(e))}, e...) }
	sp8 := Rule{Kind: KindSP, CFAOff: 8, RAOff: -8}
	withFP := func(kind FPKind, off int16) Rule {
		return Rule{Kind: KindSP, CFAOff: 8, RAOff: -8, FP: kind, FPOff: off}
	}
	unsupported := Rule{Kind: KindUnsupported}
	for _, tc := range []struct {
		name string
		code []byte
		want Rule
	}{
		{"nothing", nil, sp8},
		{"def_cfa_offset", []byte{cfaDefCFAOffset, 16}, Rule{Kind: KindSP, CFAOff: 16, RAOff: -8}},
		{"def_cfa_offset_sf", []byte{cfaDefCFAOffsetSF, 0x7e}, Rule{Kind: KindSP, CFAOff: 16, RAOff: -8}},
		{"def_cfa_register", []byte{cfaDefCFARegister, regRBP}, Rule{Kind: KindFP, CFAOff: 8, RAOff: -8}},
		{"def_cfa_sf", []byte{cfaDefCFASF, regRBP, 0x7d}, Rule{Kind: KindFP, CFAOff: 24, RAOff: -8}},
		{"def_cfa r10", []byte{cfaDefCFA, 10, 0}, Rule{Kind: KindReg, Reg: 10, RAOff: -8}},
		{"def_cfa xmm0", []byte{cfaDefCFA, 17, 0}, unsupported},
		{"offset too large", []byte{cfaDefCFAOffset, 0x80, 0x80, 0x80, 0x80, 0x10}, unsupported},
		{"offset large, then small", []byte{cfaDefCFAOffset, 0x80, 0x80, 0x80, 0x80, 0x10, cfaDefCFAOffset, 8}, sp8},
		{"rbp saved", []byte{cfaOffset<<6 | regRBP, 2}, withFP(FPAtCFA, -16)},
		{"rbp saved, extended", []byte{cfaOffsetExtended, regRBP, 2}, withFP(FPAtCFA, -16)},
		{"rbp saved, signed", []byte{cfaOffsetExtendedSF, regRBP, 2}, withFP(FPAtCFA, -16)},
		{"rbp saved, negative", []byte{cfaGNUNegativeOffsetX, regRBP, 2}, withFP(FPAtCFA, 16)},
		{"rbp saved far away", []byte{cfaOffsetExtended, regRBP, 0x80, 0x80, 1}, withFP(FPUndefined, 0)},
		{"rbp restored", []byte{cfaOffset<<6 | regRBP, 2, cfaRestore<<6 | regRBP}, sp8},
		{"rbp restored, extended", []byte{cfaOffset<<6 | regRBP, 2, cfaRestoreExtended, regRBP}, sp8},
		{"rbp same", []byte{cfaOffset<<6 | regRBP, 2, cfaSameValue, regRBP}, sp8},
		{"rbp undefined", []byte{cfaUndefined, regRBP}, withFP(FPUndefined, 0)},
		{"rbp in a register", []byte{cfaRegister, regRBP, 3}, withFP(FPUndefined, 0)},
		{"rbp is a value", []byte{cfaValOffset, regRBP, 2}, withFP(FPUndefined, 0)},
		{"rbp is a value, signed", []byte{cfaValOffsetSF, regRBP, 2}, withFP(FPUndefined, 0)},
		{"rbp is an expression", fpExpr(cfaExpression, 0x76, 0x78), withFP(FPAtFP, -8)},
		{"rbp is an expression with a sum", fpExpr(cfaExpression, 0x76, 0x78, 0x23, 16), withFP(FPAtFP, 8)},
		{"rbp is in memory by rsp", fpExpr(cfaExpression, 0x77, 0x78), withFP(FPUndefined, 0)},
		{"rbp is the value of an expression", fpExpr(cfaValExpression, 0x76, 0x78), withFP(FPUndefined, 0)},
		{"no caller", []byte{cfaUndefined, regRIP}, Rule{Kind: KindEnd}},
		{"return address in a register", []byte{cfaRegister, regRIP, 5}, unsupported},
		{"return address elsewhere", []byte{cfaOffset<<6 | regRIP, 2}, unsupported},
		{"return address restored", []byte{cfaUndefined, regRIP, cfaRestore<<6 | regRIP}, sp8},
		{"others do not matter", []byte{cfaOffset<<6 | 3, 2, cfaUndefined, 12, cfaExpression, 13, 1, 0x70, cfaGNUArgsSize, 16, cfaRegister, 3, 4, cfaSameValue, 3}, sp8},
		{"remembered", []byte{cfaRememberState, cfaDefCFAOffset, 16, cfaOffset<<6 | regRBP, 2, cfaRestoreState}, sp8},
		{"PLT", expr(cfaDefCFAExpression, plt...), Rule{Kind: KindPLT, Reg: 11, RAOff: -8}},
		{"rsp deref", expr(cfaDefCFAExpression, 0x77, 0x10, 0x06), Rule{Kind: KindDerefSP, CFAOff: 16, RAOff: 0}},
		{"rbp deref", expr(cfaDefCFAExpression, 0x76, 0x70, 0x06), Rule{Kind: KindDerefFP, CFAOff: -16, RAOff: 0}},
		{"rbp deref plus_uconst", expr(cfaDefCFAExpression, 0x76, 0x70, 0x06, 0x23, 8), Rule{Kind: KindDerefFP, CFAOff: -16, RAOff: 8}},
		{"rbp deref lit plus", expr(cfaDefCFAExpression, 0x76, 0x70, 0x06, 0x38, 0x22), Rule{Kind: KindDerefFP, CFAOff: -16, RAOff: 8}},
		{"rbp deref const minus", expr(cfaDefCFAExpression, 0x76, 0x70, 0x06, 0x08, 4, 0x1c), Rule{Kind: KindDerefFP, CFAOff: -16, RAOff: -4}},
		{"rbp deref consts plus", expr(cfaDefCFAExpression, 0x76, 0x70, 0x06, 0x11, 0x7c, 0x22), Rule{Kind: KindDerefFP, CFAOff: -16, RAOff: -4}},
		{"rbp deref, other constants", expr(cfaDefCFAExpression, 0x76, 0, 0x06,
			0x09, 0xff, 0x22, 0x0a, 2, 0, 0x22, 0x0b, 0xff, 0xff, 0x22, 0x0c, 4, 0, 0, 0, 0x22, 0x0d, 0xff, 0xff, 0xff, 0xff, 0x22,
			0x0e, 8, 0, 0, 0, 0, 0, 0, 0, 0x22, 0x0f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x22, 0x10, 16, 0x22, 0x96), Rule{Kind: KindDerefFP, RAOff: 26}},
		{"deref times a constant", expr(cfaDefCFAExpression, 0x76, 0, 0x06, 0x32, 0x1e), unsupported},
		{"deref and too large a sum", expr(cfaDefCFAExpression, 0x76, 0, 0x06, 0x23, 0x80, 0x80, 0x04), unsupported},
		{"expression cut off", expr(cfaDefCFAExpression, 0x76, 0, 0x06, 0x0c, 1, 2), unsupported},
		{"rbx deref", expr(cfaDefCFAExpression, 0x73, 0, 0x06), unsupported},
		{"deref twice", expr(cfaDefCFAExpression, 0x77, 0, 0x06, 0x06), unsupported},
		{"expression without need", expr(cfaDefCFAExpression, 0x76, 0x10, 0x23, 8), Rule{Kind: KindFP, CFAOff: 24, RAOff: -8}},
		{"empty expression", expr(cfaDefCFAExpression), unsupported},
		{"after an expression", append(expr(cfaDefCFAExpression, 0x76, 0x70, 0x06), cfaDefCFA, regRSP, 8), sp8},
	} {
		t.Run(tc.name, func(t *testing.T) { assert.Equal(t, tc.want, ruleOf(t, emX86_64, tc.code...)) })
	}
}

func TestInstructionsAArch64(t *testing.T) {
	for _, tc := range []struct {
		name string
		code []byte
		want Rule
	}{
		{"leaf", nil, Rule{Kind: KindSP, Reg: RegLR}},
		{"signed", []byte{cfaNegateRAState}, Rule{Kind: KindSP, Reg: RegLR}},
		{"frame", []byte{cfaDefCFAOffset, 32, cfaOffset<<6 | 29, 4, cfaOffset<<6 | 30, 3}, Rule{Kind: KindSP, CFAOff: 32, FP: FPAtCFA, FPOff: -32, RAOff: -24}},
		{"by x29", []byte{cfaDefCFA, 29, 32, cfaOffset<<6 | 29, 4, cfaOffset<<6 | 30, 3}, Rule{Kind: KindFP, CFAOff: 32, FP: FPAtCFA, FPOff: -32, RAOff: -24}},
		{"no caller", []byte{cfaUndefined, 30}, Rule{Kind: KindEnd}},
		{"by another register", []byte{cfaDefCFA, 12, 0}, Rule{Kind: KindUnsupported}},
		{"deref", []byte{cfaDefCFAExpression, 3, 0x8d, 0, 0x06}, Rule{Kind: KindUnsupported}},
	} {
		t.Run(tc.name, func(t *testing.T) { assert.Equal(t, tc.want, ruleOf(t, emAArch64, tc.code...)) })
	}
}

// Rows begin where the instructions say.
func TestAdvance(t *testing.T) {
	p := newPool(1)
	table, err := p.Build(testProgram(
		emX86_64,
		cfaAdvanceLoc<<6|1, cfaDefCFAOffset, 16,
		cfaAdvanceLoc1, 0xff, cfaDefCFAOffset, 24,
		cfaAdvanceLoc2, 0x00, 0x01, cfaDefCFAOffset, 32,
		cfaAdvanceLoc4, 0x00, 0x00, 0x01, 0x00, cfaDefCFAOffset, 40,
		cfaSetLoc, 0x00, 0x00, 0x03, 0, 0, 0, 0, 0, cfaDefCFAOffset, 48,
		cfaAdvanceLoc4, 0xff, 0xff, 0xff, 0xff, cfaDefCFAOffset, 56, // beyond the function
	))
	require.NoError(t, err)
	for addr, want := range map[uint64]int32{
		0x10000: 8, 0x10001: 16, 0x100ff: 16, 0x10100: 24, 0x101ff: 24, 0x10200: 32,
		0x20000: 32, 0x201ff: 32, 0x20200: 40, 0x2ffff: 40, 0x30000: 48, 0x4ffff: 48,
	} {
		r, ok := p.Lookup(table, addr)
		require.True(t, ok)
		assert.Equal(t, want, r.CFAOff, "%#x", addr)
	}
	for _, addr := range []uint64{0, testText - 1, testText + testTextSize, 1 << 47, ^uint64(0)} {
		_, ok := p.Lookup(table, addr)
		assert.False(t, ok, "%#x", addr)
	}
}

// Functions whose instructions are broken are counted, and their rest is marked.
func TestMalformedInstructions(t *testing.T) {
	for name, code := range map[string][]byte{
		"unknown":           {0x3f},
		"cut off":           {cfaDefCFA, regRSP},
		"expression":        {cfaDefCFAExpression, 100, 0x77},
		"advance cut off":   {cfaAdvanceLoc4, 0, 0},
		"restore":           {cfaRestoreState},
		"remember":          bytes.Repeat([]byte{cfaRememberState}, maxRemembered+1),
		"backwards":         {cfaSetLoc, 0, 0, 0, 0, 0, 0, 0, 0},
		"number of 65 bits": {cfaDefCFAOffset, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
	} {
		t.Run(name, func(t *testing.T) {
			cie := testCIE(emX86_64)
			frames := append(cie, testFDE(len(cie), testText, 16)...)
			code = append([]byte{cfaAdvanceLoc<<6 | 8}, code...)
			frames = append(frames, testFDE(len(frames), testText+16, 32, code...)...)
			p := newPool(1)
			table, err := p.Build(makeELF(emX86_64, testTextSize, testSection{".eh_frame", testFrames, frames}))
			require.NoError(t, err)
			assert.Equal(t, 1, table.Malformed)
			assert.Equal(t, 1, table.Functions)
			for addr, want := range map[uint64]Kind{
				testText: KindSP, testText + 16: KindSP, testText + 24: KindUnsupported, testText + 47: KindUnsupported, testText + 48: KindFPChain,
			} {
				r, ok := p.Lookup(table, addr)
				require.True(t, ok)
				assert.Equal(t, want, r.Kind, "%#x", addr)
			}
			assert.Equal(t, 1, table.Unsupported)
		})
	}
}
