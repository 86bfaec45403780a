package aperturewire

import "unicode/utf8"

// reader reads the fields of events. After a failure err is set and nothing more
// may be read. Numbers are read without a check: call need first.
type reader struct {
	data     string
	off      int
	event    int // index of the event, for errors
	legacy   bool
	checking bool // check UTF-8, which need not be done twice
	err      *DecodeError
}

func (r *reader) left() int { return len(r.data) - r.off }

func (r *reader) fail(field string, cause error, value, limit uint64) {
	r.err = &DecodeError{Offset: r.off, Event: r.event, Field: field, Err: cause, Value: value, Limit: limit}
}

// need reports whether n more bytes are there.
func (r *reader) need(n int, field string) bool {
	if n <= r.left() {
		return true
	}
	r.fail(field, ErrTruncated, uint64(n), uint64(r.left()))
	return false
}

func (r *reader) u32() uint32 {
	v := load32(r.data[r.off:])
	r.off += 4
	return v
}

func (r *reader) u64() uint64 {
	v := load64(r.data[r.off:])
	r.off += 8
	return v
}

// length reads the length of a list whose elements take at least size bytes.
func (r *reader) length(size int, field string) (int, bool) {
	if !r.need(8, field) {
		return 0, false
	}
	n := r.u64()
	if limit := uint64(r.left() / size); n > limit {
		r.off -= 8
		r.fail(field, ErrTooLong, n, limit)
		return 0, false
	}
	return int(n), true
}

func (r *reader) str(field string) (string, bool) {
	n, ok := r.length(1, field)
	if !ok {
		return "", false
	}
	s := r.data[r.off : r.off+n]
	if r.checking && !utf8.ValidString(s) {
		r.fail(field, ErrNotUTF8, 0, 0)
		return "", false
	}
	r.off += n
	return s, true
}

// addresses reads a list of u64.
func (r *reader) addresses(s *Stack, field string) bool {
	n, ok := r.length(8, field)
	if !ok {
		return false
	}
	s.addresses = r.data[r.off : r.off+8*n]
	r.off += 8 * n
	return true
}

// symbols reads a list of optional strings.
func (r *reader) symbols(s *Stack, field string) bool {
	n, ok := r.length(1, field)
	if !ok {
		return false
	}
	start := r.off
	for range n {
		if !r.need(1, field) {
			return false
		}
		switch tag := r.data[r.off]; tag {
		case 0:
			r.off++
		case 1:
			r.off++
			if _, ok := r.str(field); !ok {
				return false
			}
		default:
			r.fail(field, ErrInvalid, uint64(tag), 1)
			return false
		}
	}
	s.symbols, s.nsymbols = r.data[start:r.off], n
	return true
}

// read reads one event of the reader's schema.
func (r *reader) read(ev *Event) bool {
	*ev = Event{}
	if !r.need(4+8+4, "event") {
		return false
	}
	ev.Kind = Kind(r.u32())
	if ev.Kind > KindGPU {
		r.off -= 4
		r.fail("kind", ErrInvalid, uint64(ev.Kind), uint64(KindGPU))
		return false
	}
	ev.Timestamp = r.u64()
	ev.PID = int32(r.u32())
	switch ev.Kind {
	case KindCPU:
		return r.readCPU(ev)
	case KindLock:
		return r.readLock(ev)
	case KindSyscall:
		return r.readSyscall(ev)
	default:
		return r.readGPU(ev)
	}
}

func (r *reader) readCPU(ev *Event) bool {
	if !r.need(4+4, "tid") {
		return false
	}
	ev.TID = int32(r.u32())
	ev.CPU = r.u32()
	start, ok := r.off, false
	if !r.addresses(&ev.User, "user_stack") || !r.addresses(&ev.Kernel, "kernel_stack") {
		return false
	}
	if ev.Comm, ok = r.str("comm"); !ok {
		return false
	}
	if !r.legacy && (!r.symbols(&ev.User, "user_stack_symbols") || !r.symbols(&ev.Kernel, "kernel_stack_symbols")) {
		return false
	}
	ev.Tail = r.data[start:r.off]
	return true
}

func (r *reader) readLock(ev *Event) bool {
	if !r.need(4+3*8, "tid") {
		return false
	}
	ev.TID = int32(r.u32())
	ev.LockAddress = r.u64()
	ev.HoldTime = r.u64()
	ev.WaitTime = r.u64()
	start, ok := r.off, false
	if !r.addresses(&ev.User, "stack_trace") {
		return false
	}
	if ev.Comm, ok = r.str("comm"); !ok {
		return false
	}
	if !r.legacy && !r.symbols(&ev.User, "stack_symbols") {
		return false
	}
	ev.Tail = r.data[start:r.off]
	return true
}

func (r *reader) readSyscall(ev *Event) bool {
	if !r.need(4+4+8+8, "tid") {
		return false
	}
	ev.TID = int32(r.u32())
	ev.SyscallNumber = r.u32()
	ev.Duration = r.u64()
	ev.ReturnValue = int64(r.u64())
	start, ok := r.off, false
	if ev.Comm, ok = r.str("comm"); !ok {
		return false
	}
	ev.Tail = r.data[start:r.off]
	return true
}

func (r *reader) readGPU(ev *Event) bool {
	start, ok := r.off, false
	if ev.KernelName, ok = r.str("kernel_name"); !ok {
		return false
	}
	ev.Tail = r.data[start:r.off]
	if !r.need(8+6*4, "duration_ns") {
		return false
	}
	ev.Duration = r.u64()
	for i := range ev.Grid {
		ev.Grid[i] = r.u32()
	}
	for i := range ev.Block {
		ev.Block[i] = r.u32()
	}
	return true
}
