package symbol

import (
	"encoding/hex"
	"errors"
	"fmt"
)

// Limits on what is accepted from an ELF file. Real files stay far below.
const (
	maxSegments = 512
	maxSections = 1 << 16
	maxNotes    = 1024
	maxBuildID  = 128
)

var (
	errNotELF      = errors.New("not an ELF file")
	errUnsupported = errors.New("not a 64-bit little-endian ELF file")
)

// segment is a PT_LOAD program header.
type segment struct {
	off, vaddr, fileSize, memSize uint64
	exec                          bool
}

// section is a section header. data is nil if the section has none in the file.
type section struct {
	name      string
	kind      uint32
	addr      uint64
	link      uint32
	data      []byte
	entrySize uint64
}

// elfFile is what we need of the headers of an ELF file. Format: System V ABI,
// "Object Files"; the offsets below are those of Elf64_Ehdr, _Phdr, _Shdr.
type elfFile struct {
	data     []byte
	machine  uint16
	segments []segment
	notes    [][]byte
	align8   []bool
}

// ELF constants by their names in the ABI.
const (
	ptLoad, ptNote       = 1, 4
	pfX                  = 1
	shtSymtab, shtDynsym = 2, 11
	shtNobits            = 8
)

// parseELF reads the file and program headers. data is kept.
func parseELF(data []byte) (*elfFile, error) {
	h, ok := sub(data, 0, 64)
	if !ok || string(h[:4]) != "\x7fELF" {
		return nil, errNotELF
	}
	if h[4] != 2 || h[5] != 1 {
		return nil, errUnsupported
	}
	f := &elfFile{data: data, machine: le.Uint16(h[18:])}
	phoff, entry, n := le.Uint64(h[32:]), uint64(le.Uint16(h[54:])), uint64(le.Uint16(h[56:]))
	if n > maxSegments {
		return nil, fmt.Errorf("read program headers: %d of them, limit %d", n, maxSegments)
	}
	if n > 0 && entry < 56 {
		return nil, fmt.Errorf("read program headers: entry of %d bytes, want 56", entry)
	}
	table, ok := sub(data, phoff, n*entry)
	if !ok {
		return nil, fmt.Errorf("read program headers: %d at offset %d are beyond the file's %d bytes", n, phoff, len(data))
	}
	for ; len(table) > 0; table = table[entry:] {
		off, size := le.Uint64(table[8:]), le.Uint64(table[32:])
		switch le.Uint32(table) {
		case ptLoad:
			f.segments = append(f.segments, segment{
				off: off, vaddr: le.Uint64(table[16:]), fileSize: size,
				memSize: le.Uint64(table[40:]), exec: le.Uint32(table[4:])&pfX != 0,
			})
		case ptNote:
			if note, ok := sub(data, off, size); ok {
				f.notes = append(f.notes, note)
				f.align8 = append(f.align8, le.Uint64(table[48:]) == 8)
			}
		}
	}
	return f, nil
}

// eachSection calls fn with the sections of the file until it returns false.
func (f *elfFile) eachSection(fn func(i int, s section) bool) error {
	shoff, entry := le.Uint64(f.data[40:]), uint64(le.Uint16(f.data[58:]))
	n, strndx := uint64(le.Uint16(f.data[60:])), uint64(le.Uint16(f.data[62:]))
	if n == 0 || shoff == 0 {
		return nil // sections are optional
	}
	if n > maxSections || entry < 64 {
		return fmt.Errorf("read section headers: %d of %d bytes, limit %d of 64", n, entry, maxSections)
	}
	table, ok := sub(f.data, shoff, n*entry)
	if !ok {
		return fmt.Errorf("read section headers: %d at offset %d are beyond the file's %d bytes", n, shoff, len(f.data))
	}
	var names []byte
	if strndx < n {
		h := table[strndx*entry:]
		names, _ = sub(f.data, le.Uint64(h[24:]), le.Uint64(h[32:]))
	}
	for i := range n {
		h := table[i*entry:]
		s := section{
			name: sectionName(names, le.Uint32(h)), kind: le.Uint32(h[4:]),
			addr: le.Uint64(h[16:]), link: le.Uint32(h[40:]), entrySize: le.Uint64(h[56:]),
		}
		if s.kind != shtNobits {
			s.data, _ = sub(f.data, le.Uint64(h[24:]), le.Uint64(h[32:]))
		}
		if !fn(int(i), s) {
			return nil
		}
	}
	return nil
}

// sectionName returns a name, cut off where no name we look for is longer.
func sectionName(names []byte, off uint32) string {
	name := cstring(names, uint64(off))
	return string(name[:min(len(name), 64)])
}

// BuildID is the identity that the linker gave to an executable.
type BuildID struct {
	// ID is in hexadecimal for GNU build ids, verbatim for Go's. It is empty
	// when the file has none.
	ID string
	// Go is true for a build id of the Go linker.
	Go bool
}

// buildID finds the GNU build id or, where there is none, the Go one.
func (f *elfFile) buildID() BuildID {
	var id BuildID
	for i, b := range f.notes {
		align := uint64(4)
		if f.align8[i] {
			align = 8
		}
		for range maxNotes {
			name, kind, desc, rest, ok := note(b, align)
			if !ok {
				break
			}
			b = rest
			if len(desc) == 0 || len(desc) > maxBuildID {
				continue
			}
			switch {
			case name == "GNU\x00" && kind == 3:
				return BuildID{ID: hex.EncodeToString(desc)}
			case name == "Go\x00\x00" && kind == 4:
				id = BuildID{ID: printable(desc), Go: true}
			}
		}
	}
	return id
}

// note splits the first note (Elf64_Nhdr, name, descriptor) off b.
func note(b []byte, align uint64) (name string, kind uint32, desc, rest []byte, ok bool) {
	h, ok := sub(b, 0, 12)
	if !ok {
		return "", 0, nil, nil, false
	}
	nameSize, descSize := uint64(le.Uint32(h)), uint64(le.Uint32(h[4:]))
	n, ok := sub(b, 12, nameSize)
	if !ok {
		return "", 0, nil, nil, false
	}
	descOff := (12 + nameSize + align - 1) &^ (align - 1)
	desc, ok = sub(b, descOff, descSize)
	if !ok {
		return "", 0, nil, nil, false
	}
	end := (descOff + descSize + align - 1) &^ (align - 1)
	if len(n) > 8 {
		n = n[:8]
	}
	return string(n), le.Uint32(h[8:]), desc, b[min(end, uint64(len(b))):], true
}

// printable returns b with bytes that are no printable ASCII replaced.
func printable(b []byte) string {
	out := make([]byte, len(b))
	for i, c := range b {
		if c < 0x20 || c > 0x7e {
			c = '?'
		}
		out[i] = c
	}
	return string(out)
}
