package bpf

import (
	"encoding/binary"
	"fmt"
)

// NoticeKind tells what a Notice is about.
type NoticeKind uint16

// Kinds of notices, as enum notice_kind in sample.h.
const (
	// NoticeExec: the process runs another program.
	NoticeExec NoticeKind = iota
	// NoticeExit: the main thread ended.
	NoticeExit
	// NoticeUnknownProcess: a process without mappings was seen, once.
	NoticeUnknownProcess
	// NoticeUnknownMapping: Addr is in none of the mappings of the process.
	NoticeUnknownMapping
	// NoticeWantTable: a sample needs the unwind table of Executable.
	NoticeWantTable
)

// Notice is something that user space has to do something about, at once.
type Notice struct {
	Kind NoticeKind
	PID  uint32
	// Image tells apart the programs that one pid runs, see [Image].
	Image uint64
	// Addr is an address of the process, for mappings and tables.
	Addr       uint64
	Executable uint16
}

// Image identifies the program that a process runs, from its start time in
// nanoseconds since boot and the low bits of its number of execs.
func Image(startTime uint64, execID uint16) uint64 { return startTime + uint64(execID) }

const noticeSize = 24

// decode reads struct notice of sample.h.
func (n *Notice) decode(b []byte) error {
	if len(b) < noticeSize {
		return fmt.Errorf("decode notice: %d bytes, need %d", len(b), noticeSize)
	}
	le := binary.LittleEndian
	*n = Notice{
		Image: le.Uint64(b), Addr: le.Uint64(b[8:]), PID: le.Uint32(b[16:]),
		Executable: le.Uint16(b[20:]), Kind: NoticeKind(le.Uint16(b[22:])),
	}
	return nil
}
