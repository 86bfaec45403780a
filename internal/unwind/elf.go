package unwind

import (
	"bytes"
	"fmt"
	"math"
)

// Limits on what is accepted from an ELF file. Real files stay far below.
const (
	maxSegments    = 512
	maxSections    = 1 << 16
	maxSectionName = 64
	maxAddress     = 1 << 48
)

// Machines, by their names in the ABI.
const (
	emX86_64  = 62
	emAArch64 = 183
)

// ELF constants by their names in the ABI.
const (
	ptLoad       = 1
	ptGNUEHFrame = 0x6474e550
	pfX          = 1
	shtRela      = 4
	shtNobits    = 8
	shfCompress  = 0x800
)

// segment is a PT_LOAD program header.
type segment struct{ off, vaddr, fileSize, memSize uint64 }

// section is a part of the file that knows its address.
type section struct {
	data []byte
	addr uint64
}

// image is what is needed of an executable. Format: System V ABI, "Object
// Files"; the offsets below are those of Elf64_Ehdr, _Phdr, _Shdr.
type image struct {
	data     []byte
	machine  uint16
	segments []segment
	lo, hi   uint64 // bounds of the executable segments

	text, ehFrame, ehFrameHdr, debugFrame, pclntab section

	goData, rela [][]byte // where Go's moduledata may be
}

// parseImage reads the headers. The sections found alias data.
func parseImage(data []byte) (*image, error) {
	h, ok := sub(data, 0, 64)
	if !ok || string(h[:4]) != "\x7fELF" {
		return nil, fmt.Errorf("read ELF header: not an ELF file")
	}
	if h[4] != 2 || h[5] != 1 {
		return nil, fmt.Errorf("read ELF header: class %d, data %d; only 64-bit little-endian files are supported", h[4], h[5])
	}
	im := &image{data: data, machine: le.Uint16(h[18:]), lo: math.MaxUint64}
	if im.machine != emX86_64 && im.machine != emAArch64 {
		return nil, fmt.Errorf("read ELF header: machine %d; only x86-64 (%d) and AArch64 (%d) are supported", im.machine, emX86_64, emAArch64)
	}
	hdr, err := im.programHeaders(h)
	if err != nil {
		return nil, err
	}
	if im.hi <= im.lo {
		return nil, fmt.Errorf("%w: no executable segment", ErrNoInfo)
	}
	if im.hi > maxAddress {
		return nil, fmt.Errorf("read program headers: executable segment ends at %#x, limit %#x", im.hi, uint64(maxAddress))
	}
	if err := im.sectionHeaders(h); err != nil {
		return nil, err
	}
	if im.ehFrame.data == nil {
		im.findFrames(hdr)
	}
	return im, nil
}

// programHeaders reads the segments and returns PT_GNU_EH_FRAME.
func (im *image) programHeaders(h []byte) (hdr section, err error) {
	phoff, entry, n := le.Uint64(h[32:]), uint64(le.Uint16(h[54:])), uint64(le.Uint16(h[56:]))
	if n > maxSegments {
		return hdr, fmt.Errorf("read program headers: %d of them, limit %d", n, maxSegments)
	}
	if n > 0 && entry < 56 {
		return hdr, fmt.Errorf("read program headers: entry of %d bytes, want 56", entry)
	}
	table, ok := sub(im.data, phoff, n*entry)
	if !ok {
		return hdr, fmt.Errorf("read program headers: %d at offset %d are beyond the file's %d bytes", n, phoff, len(im.data))
	}
	for ; len(table) > 0; table = table[entry:] {
		s := segment{le.Uint64(table[8:]), le.Uint64(table[16:]), le.Uint64(table[32:]), le.Uint64(table[40:])}
		switch le.Uint32(table) {
		case ptLoad:
			im.segments = append(im.segments, s)
			if end := s.vaddr + s.memSize; le.Uint32(table[4:])&pfX != 0 && end > s.vaddr {
				im.lo, im.hi = min(im.lo, s.vaddr), max(im.hi, end)
			}
		case ptGNUEHFrame:
			if d, ok := sub(im.data, s.off, s.fileSize); ok {
				hdr = section{d, s.vaddr}
			}
		}
	}
	return hdr, nil
}

// sectionHeaders finds sections by their names.
func (im *image) sectionHeaders(h []byte) error {
	shoff, entry := le.Uint64(h[40:]), uint64(le.Uint16(h[58:]))
	n, strndx := uint64(le.Uint16(h[60:])), uint64(le.Uint16(h[62:]))
	if n == 0 || shoff == 0 {
		return nil // sections are optional
	}
	if n > maxSections || entry < 64 {
		return fmt.Errorf("read section headers: %d of %d bytes, limit %d of 64", n, entry, maxSections)
	}
	table, ok := sub(im.data, shoff, n*entry)
	if !ok {
		// Executables work without them, and some are cut off behind what is loaded.
		return nil
	}
	var names []byte
	if strndx < n {
		s := table[strndx*entry:]
		names, _ = sub(im.data, le.Uint64(s[24:]), le.Uint64(s[32:]))
	}
	for i := range n {
		s := table[i*entry:]
		kind := le.Uint32(s[4:])
		if kind == shtNobits || le.Uint64(s[8:])&shfCompress != 0 {
			continue
		}
		d, ok := sub(im.data, le.Uint64(s[24:]), le.Uint64(s[32:]))
		if !ok || len(d) == 0 {
			continue
		}
		im.addSection(sectionName(names, le.Uint32(s)), kind, section{d, le.Uint64(s[16:])})
	}
	return nil
}

func (im *image) addSection(name []byte, kind uint32, s section) {
	if kind == shtRela && len(im.rela) < maxGoData {
		im.rela = append(im.rela, s.data)
	}
	switch string(name) {
	case ".text":
		im.text = s
	case ".eh_frame":
		im.ehFrame = s
	case ".eh_frame_hdr":
		im.ehFrameHdr = s
	case ".debug_frame":
		im.debugFrame = s
	case ".gopclntab", ".data.rel.ro.gopclntab":
		im.pclntab = s
	case ".go.module", ".noptrdata", ".data", ".data.rel.ro":
		if len(im.goData) < maxGoData {
			im.goData = append(im.goData, s.data)
		}
	}
}

func sectionName(names []byte, off uint32) []byte {
	if uint64(off) >= uint64(len(names)) {
		return nil
	}
	names = names[off:min(uint64(off)+maxSectionName, uint64(len(names)))]
	if i := bytes.IndexByte(names, 0); i >= 0 {
		return names[:i]
	}
	return nil
}

// at returns the contents of the file from an address to the end of its segment.
func (im *image) at(addr uint64) (section, bool) {
	for _, s := range im.segments {
		if addr < s.vaddr || addr-s.vaddr >= s.fileSize {
			continue
		}
		d, ok := sub(im.data, s.off, s.fileSize)
		if !ok {
			return section{}, false
		}
		return section{d[addr-s.vaddr:], addr}, true
	}
	return section{}, false
}

// findFrames finds .eh_frame without section headers, through its header.
func (im *image) findFrames(hdr section) {
	if len(hdr.data) < 4 || hdr.data[0] != 1 {
		return
	}
	c := cursor{b: hdr.data, i: 4}
	addr, err := c.pointer(hdr.data[1], &bases{section: hdr.addr, data: hdr.addr, hasData: true}, 0)
	if err != nil {
		return
	}
	if s, ok := im.at(addr); ok {
		im.ehFrame, im.ehFrameHdr = s, hdr
	}
}
