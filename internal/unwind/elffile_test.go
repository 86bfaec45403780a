package unwind

import "encoding/binary"

// testSection is a section of a made-up executable.
type testSection struct {
	name string
	addr uint64
	data []byte
}

const (
	testText     = 0x10000 // where the text of made-up executables is
	testTextSize = 0x40000 // 4 pages
	testFrames   = 0x100000
)

// makeELF returns an executable with a text segment of testTextSize and the
// sections.
func makeELF(machine uint16, textSize uint64, sections ...testSection) []byte {
	b := make([]byte, 64+56)
	copy(b, "\x7fELF\x02\x01\x01")
	put16 := func(at int, v uint16) { binary.LittleEndian.PutUint16(b[at:], v) }
	put64 := func(at int, v uint64) { binary.LittleEndian.PutUint64(b[at:], v) }
	put16(18, machine)
	put64(32, 64) // program headers
	put16(54, 56)
	put16(56, 1)
	binary.LittleEndian.PutUint32(b[64:], ptLoad)
	binary.LittleEndian.PutUint32(b[68:], pfX)
	put64(64+16, testText)
	put64(64+40, textSize)

	names := []byte{0}
	var headers []byte
	header := func(name string, kind uint32, addr, off, size uint64) {
		headers = binary.LittleEndian.AppendUint32(headers, uint32(len(names)))
		headers = binary.LittleEndian.AppendUint32(headers, kind)
		for _, v := range []uint64{0, addr, off, size, 0, 8, 0} {
			headers = binary.LittleEndian.AppendUint64(headers, v)
		}
		names = append(append(names, name...), 0)
	}
	for _, s := range sections {
		header(s.name, 1, s.addr, uint64(len(b)), uint64(len(s.data)))
		b = append(b, s.data...)
	}
	at := uint64(len(b))
	header(".shstrtab", 3, 0, at, uint64(len(names)+len(".shstrtab")+1))
	b = append(b, names...)
	put64(40, uint64(len(b)))
	put16(58, 64)
	put16(60, uint16(len(sections)+1))
	put16(62, uint16(len(sections)))
	return append(b, headers...)
}

// frameEntry returns an entry of .eh_frame.
func frameEntry(id uint32, body []byte) []byte {
	b := binary.LittleEndian.AppendUint32(nil, uint32(4+len(body)))
	return append(binary.LittleEndian.AppendUint32(b, id), body...)
}

// testCIE is a CIE with version 1, alignments 1 and -8, absolute 8-byte
// addresses, and for x86-64 cfa = rsp+8, ra at cfa-8.
func testCIE(machine uint16) []byte {
	body := []byte{1, 0, 1, 0x78, regRIP, cfaDefCFA, regRSP, 8, cfaOffset<<6 | regRIP, 1}
	if machine == emAArch64 {
		body = []byte{1, 0, 1, 0x78, 30, cfaDefCFA, 31, 0}
	}
	return frameEntry(0, body)
}

// testFDE is an FDE of testCIE, when so many bytes lie between them.
func testFDE(between int, start, size uint64, code ...byte) []byte {
	body := binary.LittleEndian.AppendUint64(nil, start)
	body = binary.LittleEndian.AppendUint64(body, size)
	return frameEntry(uint32(between+4), append(body, code...))
}

// testProgram is an executable of one function, which begins at testText.
func testProgram(machine uint16, code ...byte) []byte {
	cie := testCIE(machine)
	frames := append(cie, testFDE(len(cie), testText, testTextSize, code...)...)
	return makeELF(machine, testTextSize, testSection{".eh_frame", testFrames, frames})
}
