package symbol

import (
	"bytes"
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

// symtab is a sorted table of functions with their string tables.
type symtab struct {
	syms  []elfSymbol
	names [2][]byte
	heap  int // bytes of names that are not the file's
}

// symbolSource is a symbol table section (entries of Elf64_Sym) with the
// section of its names.
type symbolSource struct{ entries, names []byte }

// secondSource is added to the names of the second source. String tables larger
// than that keep the names that they have below it.
const secondSource = 1 << 31

// buildSymtab collects the functions of up to two sources, except those in
// [skipFrom, skipTo), which are known from elsewhere. limit is the largest
// number of functions to accept.
func buildSymtab(sources []symbolSource, skipFrom, skipTo uint64, limit int) (*symtab, error) {
	want := func(e []byte) bool {
		kind := e[4] & 0xf
		addr := le.Uint64(e[8:])
		defined := le.Uint16(e[6:]) != 0
		return defined && (kind == sttFunc || kind == sttIFunc) && addr != 0 &&
			(addr < skipFrom || addr >= skipTo) && le.Uint32(e) < secondSource
	}
	n := 0
	t := &symtab{}
	for i, source := range sources {
		if len(source.entries)/24 > maxScan {
			return nil, fmt.Errorf("%w: %d entries, limit %d", errTooLarge, len(source.entries)/24, maxScan)
		}
		t.names[i] = source.names
		for e := source.entries; len(e) >= 24; e = e[24:] {
			if want(e) {
				n++
			}
		}
	}
	if n > limit {
		return nil, fmt.Errorf("%w: %d functions, limit %d", errTooLarge, n, limit)
	}
	syms := make([]elfSymbol, 0, n)
	for i, source := range sources {
		for e := source.entries; len(e) >= 24 && len(syms) < n; e = e[24:] {
			if want(e) {
				size := min(le.Uint64(e[16:]), sizeMask)
				syms = append(syms, elfSymbol{
					addr: le.Uint64(e[8:]), size: uint32(size) | rank(e[4])<<30,
					name: le.Uint32(e) + uint32(i)*secondSource,
				})
			}
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
	t.syms = syms
	return t, nil
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

// name returns the name of the function with index i. It aliases the source.
func (t *symtab) name(i int) []byte {
	off := t.syms[i].name
	return cstring(t.names[off/secondSource], uint64(off%secondSource))
}

// bytes returns the size on the heap.
func (t *symtab) bytes() int { return len(t.syms)*symbolBytes + t.heap }

// elfTables builds the best symbol table of the file: that of .symtab, else of
// .gnu_debugdata with .dynsym, else of .dynsym.
func (f *elfFile) elfTables(skipFrom, skipTo uint64, limit int) (*symtab, error) {
	full, dynamic, debugdata, err := f.symbolSources()
	if err != nil {
		return nil, err
	}
	if len(full.entries) > 0 {
		t, err := buildSymtab([]symbolSource{full}, skipFrom, skipTo, limit)
		if err != nil || len(t.syms) > 0 {
			return t, err
		}
	}
	if len(debugdata) > 0 {
		// Its functions are not in .dynsym. Without it, that is all there is.
		if mini, err := miniSymbols(debugdata, limit*symbolBytes); err == nil {
			t, err := buildSymtab([]symbolSource{mini, dynamic}, skipFrom, skipTo, limit)
			if err == nil {
				t.heap = len(mini.names)
			}
			return t, err
		}
	}
	return buildSymtab([]symbolSource{dynamic}, skipFrom, skipTo, limit)
}

// miniSymbols returns the symbols of .gnu_debugdata.
func miniSymbols(packed []byte, limit int) (symbolSource, error) {
	b, err := unpackDebugdata(packed, min(limit, maxDebugdata))
	if err != nil {
		return symbolSource{}, err
	}
	e, err := parseELF(b)
	if err != nil {
		return symbolSource{}, fmt.Errorf("read compressed symbol table: %w", err)
	}
	s, _, _, err := e.symbolSources()
	s.names = bytes.Clone(s.names) // the rest can go when the table is built
	return s, err
}

// symbolSources finds .symtab, .dynsym and .gnu_debugdata.
func (f *elfFile) symbolSources() (full, dynamic symbolSource, debugdata []byte, err error) {
	names := map[int]*[]byte{}
	err = f.eachSection(func(_ int, s section) bool {
		switch {
		case s.kind == shtSymtab:
			full.entries = s.data
			names[int(s.link)] = &full.names
		case s.kind == shtDynsym:
			dynamic.entries = s.data
			names[int(s.link)] = &dynamic.names
		case s.name == ".gnu_debugdata":
			debugdata = s.data
		}
		return true
	})
	if err == nil {
		err = f.eachSection(func(i int, s section) bool {
			if dst := names[i]; dst != nil {
				*dst = s.data
			}
			return true
		})
	}
	return full, dynamic, debugdata, err
}
