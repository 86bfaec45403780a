package symbol

import (
	"fmt"
	"slices"
	"sort"
)

// elfSymbol is one function of a symbol table. Its name stays in the file.
type elfSymbol struct {
	addr uint64
	// size is 0 where the file does not tell it: the symbol then ends where the
	// next one begins. While a table is built, the two top bits hold the rank.
	size uint32
	name uint32
}

const (
	symbolBytes = 16
	sizeMask    = 1<<30 - 1
	// maxScan bounds the number of table entries that are looked at.
	maxScan = 32 << 20
)

// symtab is a sorted table of functions with their string table.
type symtab struct {
	syms  []elfSymbol
	names []byte
}

// buildSymtab collects the functions of the entries of a symbol table section
// (Elf64_Sym), except those in [skipFrom, skipTo), which are known from
// elsewhere. limit is the largest number of functions to accept.
func buildSymtab(entries, names []byte, skipFrom, skipTo uint64, limit int) (*symtab, error) {
	if len(entries)/24 > maxScan {
		return nil, fmt.Errorf("%w: %d entries, limit %d", errTooLarge, len(entries)/24, maxScan)
	}
	want := func(e []byte) bool {
		kind := e[4] & 0xf
		addr := le.Uint64(e[8:])
		defined := le.Uint16(e[6:]) != 0
		return defined && (kind == sttFunc || kind == sttIFunc) && addr != 0 && (addr < skipFrom || addr >= skipTo)
	}
	n := 0
	for e := entries; len(e) >= 24; e = e[24:] {
		if want(e) {
			n++
		}
	}
	if n > limit {
		return nil, fmt.Errorf("%w: %d functions, limit %d", errTooLarge, n, limit)
	}
	syms := make([]elfSymbol, 0, n)
	for e := entries; len(e) >= 24 && len(syms) < n; e = e[24:] {
		if want(e) {
			size := min(le.Uint64(e[16:]), sizeMask)
			syms = append(syms, elfSymbol{
				addr: le.Uint64(e[8:]), size: uint32(size) | rank(e[4])<<30, name: le.Uint32(e),
			})
		}
	}
	slices.SortFunc(syms, func(a, b elfSymbol) int {
		switch {
		case a.addr != b.addr:
			if a.addr < b.addr {
				return -1
			}
			return 1
		case a.size != b.size: // best rank first, then the largest
			if a.size > b.size {
				return -1
			}
			return 1
		default: // aliases: the name that comes first in the file, always
			return int(int64(a.name) - int64(b.name))
		}
	})
	syms = slices.CompactFunc(syms, func(a, b elfSymbol) bool { return a.addr == b.addr })
	for i := range syms {
		syms[i].size &= sizeMask
	}
	return &symtab{syms: syms, names: names}, nil
}

// Symbol types and bindings of the ABI.
const (
	sttFunc, sttIFunc  = 2, 10
	stbGlobal, stbWeak = 1, 2
)

// rank prefers global over weak over local names for the same address.
func rank(info byte) uint32 {
	switch info >> 4 {
	case stbGlobal:
		return 2
	case stbWeak:
		return 1
	}
	return 0
}

// find returns the index of the function at addr.
func (t *symtab) find(addr uint64) (int, bool) {
	i := sort.Search(len(t.syms), func(i int) bool { return t.syms[i].addr > addr }) - 1
	// A function may lie inside of a larger one (outlined cold parts, assembly
	// labels): if addr is behind the inner one, look a few steps further out.
	for step := 0; i >= 0 && step < 8; i, step = i-1, step+1 {
		s := t.syms[i]
		if s.size == 0 {
			if step == 0 && addr-s.addr < maxUnsized {
				return i, true
			}
			continue
		}
		if addr-s.addr < uint64(s.size) {
			return i, true
		}
	}
	return 0, false
}

// maxUnsized bounds how far a symbol without a size reaches.
const maxUnsized = 1 << 20

// name returns the name of the function with index i. It aliases the file.
func (t *symtab) name(i int) []byte { return cstring(t.names, uint64(t.syms[i].name)) }

// elfTables finds the best symbol table of the file: .symtab, else .dynsym.
func (f *elfFile) elfTables(skipFrom, skipTo uint64, limit int) (*symtab, error) {
	var symtabSec, dynsymSec, symNames, dynNames section
	want := map[int]*section{}
	err := f.eachSection(func(_ int, s section) bool {
		switch s.kind {
		case shtSymtab:
			symtabSec = s
			want[int(s.link)] = &symNames
		case shtDynsym:
			dynsymSec = s
			want[int(s.link)] = &dynNames
		}
		return true
	})
	if err == nil {
		err = f.eachSection(func(i int, s section) bool {
			if dst := want[i]; dst != nil {
				*dst = s
			}
			return true
		})
	}
	if err != nil {
		return nil, err
	}
	if t, err := buildSymtab(symtabSec.data, symNames.data, skipFrom, skipTo, limit); err != nil || len(t.syms) > 0 {
		return t, err
	}
	return buildSymtab(dynsymSec.data, dynNames.data, skipFrom, skipTo, limit)
}
