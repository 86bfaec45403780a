package procinfo

import (
	"bytes"
	"fmt"
	"strconv"
)

// Stat is what /proc/PID/task/PID/stat (proc_pid_stat(5)) tells cheaply about a process.
type Stat struct {
	// StartTicks is when the process started, in hundredths of a second since
	// boot.
	StartTicks uint64
	// Kthread is true for kernel threads.
	Kthread bool
}

// nsPerTick is the unit of times in /proc: USER_HZ is 100 on all architectures
// that Go supports.
const nsPerTick = 10_000_000

// kthreadFlag is PF_KTHREAD of the kernel.
const kthreadFlag = 0x00200000

// ReadStat reads the start time and kind of a process. The error is
// os.ErrNotExist if there is none with this pid.
func ReadStat(pid uint32) (Stat, error) {
	// That of the main thread: that of the process adds all threads up.
	dir := procDir(pid)
	b, err := readFile(dir+"/task"+dir[len("/proc"):]+"/stat", maxStatus)
	if err != nil {
		return Stat{}, fmt.Errorf("read state of process: %w", err)
	}
	s, ok := parseStat(b)
	if !ok {
		return Stat{}, fmt.Errorf("parse state of process %d: not as in proc_pid_stat(5)", pid)
	}
	return s, nil
}

// StartedAt reports whether the process is the one that started at this time
// in nanoseconds since boot, as the kernel counts it. A few nanoseconds more
// do not matter.
func (s Stat) StartedAt(ns uint64) bool {
	want := ns / nsPerTick
	return s.StartTicks+1 >= want && s.StartTicks <= want+1
}

// Running reports whether the process that started at this time, in
// nanoseconds since boot, still exists.
func Running(pid uint32, startTime uint64) bool {
	s, err := ReadStat(pid)
	return err == nil && s.StartedAt(startTime)
}

// parseStat parses fields 9 and 22 of a stat file. The second field, the
// name in parentheses, may contain anything.
func parseStat(stat []byte) (s Stat, ok bool) {
	i := bytes.LastIndexByte(stat, ')')
	if i < 0 {
		return s, false
	}
	fields := bytes.Fields(stat[i+1:])
	if len(fields) < 20 {
		return s, false
	}
	flags, err := strconv.ParseUint(string(fields[6]), 10, 64)
	if err != nil {
		return s, false
	}
	start, err := strconv.ParseUint(string(fields[19]), 10, 64)
	return Stat{StartTicks: start, Kthread: flags&kthreadFlag != 0}, err == nil
}
