package symbol

import (
	"encoding/binary"
	"fmt"
	"unsafe"
)

// elfFixture is a small executable: one text segment at 0x401000 from offset
// 0x1000, a GNU build id, and the functions of funcs in .symtab.
func elfFixture(funcs map[string][2]uint64) []byte {
	put := binary.LittleEndian
	strtab, symtab := []byte{0}, make([]byte, 24)
	for _, name := range sortedKeys(funcs) {
		var e [24]byte
		put.PutUint32(e[:], uint32(len(strtab)))
		e[4], e[6] = stbGlobal<<4|sttFunc, 1
		put.PutUint64(e[8:], funcs[name][0])
		put.PutUint64(e[16:], funcs[name][1])
		symtab = append(symtab, e[:]...)
		strtab = append(append(strtab, name...), 0)
	}
	note := append([]byte{4, 0, 0, 0, 4, 0, 0, 0, 3, 0, 0, 0}, "GNU\x00\xde\xad\xbe\xef"...)
	shstr := []byte("\x00.symtab\x00.strtab\x00.shstrtab\x00")

	b := make([]byte, 64+2*56)
	copy(b, "\x7fELF\x02\x01\x01")
	put.PutUint16(b[18:], 62)
	put.PutUint64(b[32:], 64)
	put.PutUint16(b[54:], 56)
	put.PutUint16(b[56:], 2)
	load, pnote := b[64:], b[64+56:]
	put.PutUint32(load, ptLoad)
	put.PutUint32(load[4:], pfX|4)
	put.PutUint64(load[8:], 0x1000)
	put.PutUint64(load[16:], 0x401000)
	put.PutUint64(load[32:], 0x1000)
	put.PutUint64(load[40:], 0x1000)
	place := func(data []byte) (off uint64) {
		for len(b)%8 != 0 {
			b = append(b, 0)
		}
		off = uint64(len(b))
		b = append(b, data...)
		return off
	}
	put.PutUint32(pnote, ptNote)
	noteOff := place(note)
	put.PutUint64(b[64+56+8:], noteOff)
	put.PutUint64(b[64+56+32:], uint64(len(note)))

	type sec struct {
		name, kind, link uint32
		data             []byte
		entry            uint64
	}
	secs := []sec{{}, {1, shtSymtab, 2, symtab, 24}, {9, 3, 0, strtab, 0}, {17, 3, 0, shstr, 0}}
	headers := make([]byte, 64*len(secs))
	for i, s := range secs {
		h := headers[64*i:]
		put.PutUint32(h, s.name)
		put.PutUint32(h[4:], s.kind)
		put.PutUint64(h[24:], place(s.data))
		put.PutUint64(h[32:], uint64(len(s.data)))
		put.PutUint32(h[40:], s.link)
		put.PutUint64(h[56:], s.entry)
	}
	shoff := place(headers)
	put.PutUint64(b[40:], shoff)
	put.PutUint16(b[58:], 64)
	put.PutUint16(b[60:], uint16(len(secs)))
	put.PutUint16(b[62:], 3)
	return b
}

// pclntabFixture is a table of two functions, main.a at text+0 and main.b at
// text+0x100, ending at text+0x200, in file /src/main.go. main.a is inlined into
// main.b's last quarter, called where main.b begins; see inlineFixture.
func pclntabFixture(magic uint32, text uint64) []byte {
	put := binary.LittleEndian
	b := make([]byte, 72)
	put.PutUint32(b, magic)
	b[6], b[7] = 1, 8
	put.PutUint64(b[8:], 2)
	put.PutUint64(b[16:], 1)
	put.PutUint64(b[24:], text)
	place := func(word int, data []byte) {
		put.PutUint64(b[8+8*word:], uint64(len(b)))
		b = append(b, data...)
	}
	place(3, []byte("main.a\x00main.b\x00\x00\x00"))
	place(4, []byte{0, 0, 0, 0}) // unit 0: file 0 at 0
	place(5, []byte("/src/main.go\x00\x00\x00\x00"))
	// Values start at -1. File: 0 throughout. Line: 10 for 0x80 bytes, then 12.
	// Inlined: -1 for 0xc0 bytes, then call 0.
	place(6, []byte{
		0,
		2, 0x80, 0x02, 0, // 1: +1 for 0x100
		22, 0x80, 0x01, 4, 0x80, 0x01, 0, // 5: +11 for 0x80, +2 for 0x80
		0, 0xc0, 0x01, 2, 0x40, 0, // 12: +0 for 0xc0, +1 for 0x40
	})
	fn := func(entry, name uint32) []byte {
		f := make([]byte, 44, 80)
		put.PutUint32(f, entry)
		put.PutUint32(f[4:], name)
		put.PutUint32(f[20:], 1)
		put.PutUint32(f[24:], 5)
		put.PutUint32(f[28:], 3)
		f = put.AppendUint32(f[:36], 7) // startLine
		if magic == magicGo118 {
			f = f[:36]
		}
		f = append(f, 0, 0, 0, 4)                                                     // funcID, flag, pad, nfuncdata
		for _, v := range []uint32{0, 0, 12, noFuncdata, noFuncdata, noFuncdata, 8} { // pcdata, funcdata
			f = put.AppendUint32(f, v)
		}
		return f
	}
	f0, f1 := fn(0, 0), fn(0x100, 7)
	tab := make([]byte, 24)
	put.PutUint32(tab[4:], 24)
	put.PutUint32(tab[8:], 0x100)
	put.PutUint32(tab[12:], uint32(24+len(f0)))
	put.PutUint32(tab[16:], 0x200)
	place(7, append(append(tab, f0...), f1...))
	return b
}

// inlineFixture is the funcdata of pclntabFixture: one inlined call of main.a.
func inlineFixture(magic uint32) []byte {
	b := make([]byte, 8)
	if magic == magicGo118 {
		b = append(b, 0xff, 0xff, 0, 0)             // parent, funcID, pad
		b = append(b, 0, 0, 0, 0, 10, 0, 0, 0)      // file, line
		return append(b, 0, 0, 0, 0, 0x10, 0, 0, 0) // name, parentPc
	}
	b = append(b, 0, 0, 0, 0, 0, 0, 0, 0)       // funcID, name
	return append(b, 0x10, 0, 0, 0, 3, 0, 0, 0) // parentPc, startLine
}

// addressOf returns where b is in memory.
func addressOf(b []byte) uintptr { return uintptr(unsafe.Pointer(unsafe.SliceData(b))) }

// cutHex parses two hexadecimal numbers.
func cutHex(s string) (a, b uint64, err error) {
	_, err = fmt.Sscanf(s, "%x %x", &a, &b)
	return a, b, err
}
