package symbol

// goTables finds the function table of a Go executable, nil if it has none.
func (f *elfFile) goTables() (*pclntab, error) {
	var table section
	var text uint64
	var data, rela [][]byte
	err := f.eachSection(func(_ int, s section) bool {
		switch {
		case s.name == ".gopclntab" || s.name == ".data.rel.ro.gopclntab":
			table = s
		case s.name == ".text":
			text = s.addr
		case s.name == ".go.module" || s.name == ".noptrdata" || s.name == ".data" || s.name == ".data.rel.ro":
			data = append(data, s.data)
		case s.kind == shtRela && s.entrySize == 24:
			rela = append(rela, s.data)
		}
		return true
	})
	if err != nil || table.data == nil {
		return nil, err
	}
	t, err := parsePclntab(table.data)
	if err != nil {
		return nil, err
	}
	m := t.findModule(table.addr, data, rela)
	switch {
	case t.text != 0:
	case m.text != 0:
		t.text = m.text
	default:
		// Without cgo the text section begins with the program's text.
		t.text = text
	}
	t.funcdata = f.bytesAt(m.funcdata)
	return t, nil
}

// bytesAt returns the contents of the file from an address that it was linked
// for to the end of the segment there, nil for other addresses.
func (f *elfFile) bytesAt(addr uint64) []byte {
	for _, s := range f.segments {
		if addr >= s.vaddr && addr-s.vaddr < s.fileSize {
			b, _ := sub(f.data, s.off, min(s.fileSize, uint64(len(f.data))))
			return b[min(addr-s.vaddr, uint64(len(b))):]
		}
	}
	return nil
}

const shtRela = 4

// goModule is what is needed of the runtime's moduledata
// (src/runtime/symtab.go), which begins with a pointer to the function table.
type goModule struct {
	text     uint64 // start of the text, 0 if the module was not found
	funcdata uint64 // go:func.*, which offsets of funcdata count from
}

// Words of moduledata. They have been so since Go 1.18 but for the last one,
// which Go 1.20 moved when it added the coverage counters.
const (
	moduleMinPC      = 20
	moduleText       = 22
	moduleFuncdata18 = 38
	moduleFuncdata20 = 40

	maxModule = 64 << 20 // bytes that are searched
	// maxModuleRelocations is how far behind the relocation of the first word
	// those of the others are searched. Linkers sort them by address.
	maxModuleRelocations = 256
	maxModuleCandidates  = 64
)

func (t *pclntab) moduleFuncdata() uint64 {
	if t.hasLine {
		return moduleFuncdata20
	}
	return moduleFuncdata18
}

// findModule searches moduledata by its pointer to the table, which is in the
// data or, in position independent executables, in the addends of relative
// relocations (Elf64_Rela) that the dynamic linker applies.
func (t *pclntab) findModule(table uint64, data, rela [][]byte) goModule {
	for _, d := range data {
		if m, ok := t.moduleInData(d, table); ok {
			return m
		}
	}
	for _, r := range rela {
		if m, ok := t.moduleInRelocations(r, table); ok {
			return m
		}
	}
	return goModule{}
}

// module checks the words of a candidate.
func (t *pclntab) module(minPC, text, funcdata uint64) (goModule, bool) {
	ok := text != 0 && minPC >= text && (t.text == 0 || t.text == text)
	return goModule{text: text, funcdata: funcdata}, ok
}

func (t *pclntab) moduleInData(data []byte, table uint64) (goModule, bool) {
	data = data[:min(len(data), maxModule)]
	last := 8 * int(t.moduleFuncdata())
	for i := 0; i+last+8 <= len(data); i += 8 {
		if le.Uint64(data[i:]) != table {
			continue
		}
		word := func(n uint64) uint64 { return le.Uint64(data[uint64(i)+8*n:]) }
		if m, ok := t.module(word(moduleMinPC), word(moduleText), word(t.moduleFuncdata())); ok {
			return m, true
		}
	}
	return goModule{}, false
}

func (t *pclntab) moduleInRelocations(rela []byte, table uint64) (goModule, bool) {
	rela = rela[:min(len(rela), maxModule)]
	candidates := 0
	for first := rela; len(first) >= 24 && candidates < maxModuleCandidates; first = first[24:] {
		if le.Uint64(first[16:]) != table {
			continue
		}
		candidates++
		base := le.Uint64(first)
		words := map[uint64]uint64{}
		for r, n := first, 0; len(r) >= 24 && n < maxModuleRelocations; r, n = r[24:], n+1 {
			words[le.Uint64(r)-base] = le.Uint64(r[16:])
		}
		if m, ok := t.module(words[8*moduleMinPC], words[8*moduleText], words[8*t.moduleFuncdata()]); ok {
			return m, true
		}
	}
	return goModule{}, false
}
