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
	return parsePclntab(table.data, func() uint64 {
		for _, d := range data {
			if v, ok := moduleText(d, table.addr); ok {
				return v
			}
		}
		for _, r := range rela {
			if v, ok := relocatedModuleText(r, table.addr); ok {
				return v
			}
		}
		// Without cgo the text section begins with the program's text.
		return text
	})
}

const shtRela = 4

// The runtime's moduledata begins with a pointer to the function table; the
// start of the text is its word 22, after minpc (20) and maxpc (21). This has
// been so since Go 1.18 (src/runtime/symtab.go, type moduledata).
const (
	moduleMinPCAt = 8 * 20
	moduleTextAt  = 8 * 22
	maxModule     = 64 << 20 // bytes of data that are searched
)

// moduleText searches data for moduledata by its pointer to the table.
func moduleText(data []byte, table uint64) (uint64, bool) {
	data = data[:min(len(data), maxModule)]
	for i := 0; i+moduleTextAt+8 <= len(data); i += 8 {
		if le.Uint64(data[i:]) != table {
			continue
		}
		text, minPC := le.Uint64(data[i+moduleTextAt:]), le.Uint64(data[i+moduleMinPCAt:])
		if text != 0 && minPC >= text {
			return text, true
		}
	}
	return 0, false
}

// relocatedModuleText does the same where pointers are not in the data, but in
// the addends of relative relocations (Elf64_Rela) that the dynamic linker
// applies: position independent executables.
func relocatedModuleText(rela []byte, table uint64) (uint64, bool) {
	rela = rela[:min(len(rela), maxModule)]
	for module := rela; len(module) >= 24; module = module[24:] {
		if le.Uint64(module[16:]) != table {
			continue
		}
		// Relocations are sorted by address as a rule, so the one of the text
		// pointer follows closely.
		want := le.Uint64(module) + moduleTextAt
		for r, n := module, 0; len(r) >= 24 && n < 64; r, n = r[24:], n+1 {
			if le.Uint64(r) == want {
				return le.Uint64(r[16:]), true
			}
		}
	}
	return 0, false
}
