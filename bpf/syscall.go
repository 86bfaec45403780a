package bpf

import "time"

// SyscallOptions configures [Host.StartSyscall].
type SyscallOptions struct {
	// SlowThreshold makes calls that take as long stack samples, of
	// [KindSyscall], instead of counts. 0 counts all calls, and so do kernels
	// before 5.17.
	SlowThreshold time.Duration
	// MaxEntries bounds the rows of one interval, 0 is DefaultSyscallEntries.
	// There is a row for each process, system call, outcome, bucket of latency
	// and processor that came together, of about 350 bytes of kernel memory.
	// Calls that find no room are counted as HashFull. Older kernels cannot have
	// more than the default.
	MaxEntries int
}

// SyscallCount is a number of system calls of one process that have the same
// number, outcome and bucket of latency. All times are in nanoseconds.
type SyscallCount struct {
	SyscallKey
	// CgroupID is the id of the cgroup v2 of one of the callers.
	CgroupID uint64
	// Comm is the name of the process: of its main thread. It is empty for a
	// successful exec, after which the process has another one.
	Comm          string
	Count         uint64
	Sum, Min, Max uint64
}

// SyscallKey tells counts of system calls apart.
type SyscallKey struct {
	// Image identifies the program, see [Image]. A successful exec belongs to the
	// program that made it.
	Image uint64
	// PID is as the collector's pid namespace numbers it.
	PID uint32
	// Number is of the machine's own table, or NoSyscall.
	Number uint32
	// Bucket is floor(log2(nanoseconds)): 0 for 0 and 1, 29 for all that is
	// longer.
	Bucket uint8
	// Error tells that the call returned an error. Calls that a signal
	// interrupted are not counted as errors, since the kernel may make them again.
	Error bool
}

// NoSyscall stands for numbers that no system call has.
const NoSyscall = ^uint32(0)

// syscallErrorBit is DETAIL_ERROR in syscall.bpf.c.
const syscallErrorBit = 1 << 15

// SyscallDetail takes the Detail of a stack of [KindSyscall] apart.
func SyscallDetail(detail uint16) (bucket uint8, failed bool) {
	return uint8(detail), detail&syscallErrorBit != 0
}

// Syscall is a running profile of the latency of system calls. Calls that never
// return (exit), and those of 32-bit programs, are not part of it.
type Syscall struct {
	running
	rows *rowTables
}

// StartSyscall starts to time the system calls of all processes.
func (h *Host) StartSyscall(opts SyscallOptions) (*Syscall, error) {
	spec, err := loadSyscallObj()
	if err != nil {
		return nil, err
	}
	settings := map[string]any{}
	for name, value := range resizeRows(spec, opts.MaxEntries) {
		settings[name] = value
	}
	exit := "aperture_sys_exit"
	if opts.SlowThreshold > 0 && h.Unwinds() {
		exit = "aperture_sys_exit_slow"
		settings["slow_ns"] = uint64(opts.SlowThreshold)
	}
	o, err := h.load(spec, 4, settings, "aperture_sys_enter", exit)
	if err != nil {
		return nil, explain("loading the system call profile", err)
	}
	s := &Syscall{running: running{host: h, objects: []*object{o}}}
	h.add(o)
	if s.rows, err = newRowTables(o.coll); err == nil {
		err = o.attachTracing()
	}
	if err != nil {
		_ = s.Close()
		return nil, explain("starting the system call profile", err)
	}
	return s, nil
}

// Collect appends to dst the calls that returned since the last Collect and
// returns it. No call is lost or counted twice. Slow calls are part of
// [Host.Collect] instead.
func (s *Syscall) Collect(dst []SyscallCount) ([]SyscallCount, error) { return s.rows.collect(dst) }

// Stats implements Profile. Runs are calls that returned, and calls that were
// not looked at.
func (s *Syscall) Stats() (Stats, error) {
	st, err := s.running.Stats()
	for c := Idle; c <= Samples; c++ {
		st[Runs] += st[c] // the programs save themselves the time to count it
	}
	return st, err
}
