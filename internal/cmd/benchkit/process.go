package benchkit

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// tick is the unit of CPU times in /proc: USER_HZ is 100 on every architecture
// that Go supports.
const tick = time.Second / 100

// CPU returns the user and system time that all threads of a process have used,
// without that of its children (fields 14 and 15 of proc_pid_stat(5)).
func CPU(pid int) (time.Duration, error) {
	data, err := os.ReadFile(procFile(pid, "stat"))
	if err != nil {
		return 0, fmt.Errorf("read CPU time: %w", err)
	}
	// The name in parentheses may contain anything; the third field comes after it.
	fields := bytes.Fields(data[bytes.LastIndexByte(data, ')')+1:])
	if len(fields) < 13 {
		return 0, fmt.Errorf("read CPU time: stat has %d fields", len(fields))
	}
	var total time.Duration
	for _, f := range fields[11:13] {
		n, err := strconv.ParseInt(string(f), 10, 64)
		if err != nil {
			return 0, fmt.Errorf("read CPU time: %w", err)
		}
		total += time.Duration(n) * tick
	}
	return total, nil
}

// PeakRSS returns the largest resident set a process has had, in bytes (VmHWM
// of proc_pid_status(5)).
func PeakRSS(pid int) (uint64, error) {
	data, err := os.ReadFile(procFile(pid, "status"))
	if err != nil {
		return 0, fmt.Errorf("read peak memory: %w", err)
	}
	for line := range strings.Lines(string(data)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			n, err := strconv.ParseUint(strings.Fields(rest)[0], 10, 64)
			return n << 10, err
		}
	}
	return 0, fmt.Errorf("read peak memory: no VmHWM in %s", procFile(pid, "status"))
}

// Child returns the process id of the only child of a process.
func Child(pid int) (int, error) {
	names, err := filepath.Glob(procFile(pid, "task/*/children"))
	if err != nil {
		return 0, err
	}
	var ids []string
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			continue // the thread has ended
		}
		ids = append(ids, strings.Fields(string(data))...)
	}
	if len(ids) != 1 {
		return 0, fmt.Errorf("find child of %d: it has %d children", pid, len(ids))
	}
	return strconv.Atoi(ids[0])
}

func procFile(pid int, name string) string {
	return filepath.Join("/proc", strconv.Itoa(pid), name)
}

// Machine describes the machine and how busy it is, for reports.
func Machine() string {
	model, cores := "unknown CPU", 0
	data, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(data)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
			model = strings.TrimSpace(value)
			cores++
		}
	}
	load, _ := os.ReadFile("/proc/loadavg")
	kernel, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	return fmt.Sprintf("%d x %s, Linux %s, load average %s", cores, model,
		strings.TrimSpace(string(kernel)), strings.Join(strings.Fields(string(load))[:3], " "))
}
