package unwind

import "bytes"

// The runtime's moduledata begins with a pointer to the pclntab; the start of
// the text is its word 22, after minpc (20) and maxpc (21). This has been so
// since Go 1.18 (src/runtime/symtab.go, type moduledata).
const (
	goMinPCAt    = 8 * 20
	goTextAt     = 8 * 22
	maxGoModule  = 64 << 20 // bytes of a section that are searched
	maxGoMatches = 64       // pointers that are looked at
	maxGoData    = 16       // sections that are searched
	relaSize     = 24       // of Elf64_Rela: offset, info, addend
)

// goText returns where the text of a Go program begins.
func (im *image) goText() uint64 {
	table := im.pclntab.addr
	for _, d := range im.goData {
		if v, ok := moduleText(d, table); ok {
			return v
		}
	}
	for _, r := range im.rela {
		if v, ok := relocatedModuleText(r, table); ok {
			return v
		}
	}
	// Without cgo the text section begins with the program's text.
	return im.text.addr
}

// moduleText searches data for moduledata by its pointer to the table.
func moduleText(data []byte, table uint64) (uint64, bool) {
	data = data[:min(len(data), maxGoModule)]
	want := le.AppendUint64(nil, table)
	for at := 0; ; at++ {
		i := bytes.Index(data[at:], want)
		if i < 0 || at+i+goTextAt+8 > len(data) {
			return 0, false
		}
		at += i
		text, minPC := le.Uint64(data[at+goTextAt:]), le.Uint64(data[at+goMinPCAt:])
		if at%8 == 0 && text != 0 && minPC >= text {
			return text, true
		}
	}
}

// relocatedModuleText does the same where pointers are not in the data, but in
// the addends of relative relocations that the dynamic linker applies: position
// independent executables.
func relocatedModuleText(rela []byte, table uint64) (uint64, bool) {
	rela = rela[:min(len(rela), maxGoModule)]
	for matches := 0; len(rela) >= relaSize && matches < maxGoMatches; rela = rela[relaSize:] {
		if le.Uint64(rela[16:]) != table {
			continue
		}
		matches++
		// Relocations are sorted by address as a rule, so the one of the text
		// pointer follows closely.
		want := le.Uint64(rela) + goTextAt
		for r, n := rela, 0; len(r) >= relaSize && n < 64; r, n = r[relaSize:], n+1 {
			if le.Uint64(r) == want {
				return le.Uint64(r[16:]), true
			}
		}
	}
	return 0, false
}
