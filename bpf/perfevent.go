package bpf

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const onlineFile = "/sys/devices/system/cpu/online"

// maxCPU bounds the processor numbers that are accepted from the kernel.
const maxCPU = 1 << 16

// onlineCPUs returns the numbers of the processors that run.
func onlineCPUs() ([]int, error) {
	b, err := os.ReadFile(onlineFile)
	if err != nil {
		return nil, fmt.Errorf("read online processors: %w", err)
	}
	return parseCPUList(strings.TrimSpace(string(b)))
}

// parseCPUList parses the kernel's list format, such as "0-3,8".
func parseCPUList(s string) ([]int, error) {
	var cpus []int
	for _, part := range strings.Split(s, ",") {
		from, to, isRange := strings.Cut(part, "-")
		first, err := strconv.Atoi(from)
		last := first
		if err == nil && isRange {
			last, err = strconv.Atoi(to)
		}
		if err != nil || first < 0 || last < first || last >= maxCPU {
			return nil, fmt.Errorf("parse processor list %q: bad part %q, limit %d", s, part, maxCPU)
		}
		for c := first; c <= last; c++ {
			cpus = append(cpus, c)
		}
	}
	return cpus, nil
}

// attachClock runs prog at every tick of a software clock on one processor. It
// returns the event; closing it detaches the program. The ioctl is used rather
// than a bpf_link because the latter needs kernel 5.15 for perf events.
func attachClock(cpu, frequency, prog int) (int, error) {
	attr := unix.PerfEventAttr{
		Type:   unix.PERF_TYPE_SOFTWARE,
		Config: unix.PERF_COUNT_SW_CPU_CLOCK,
		Size:   uint32(unsafe.Sizeof(unix.PerfEventAttr{})),
		// By period, not by frequency: the kernel turns a frequency of this clock
		// into a period when the event is opened, and what it is told later is then
		// taken for nanoseconds (perf_swevent_init_hrtimer, perf_event_period).
		Sample: period(frequency),
		Bits:   unix.PerfBitDisabled,
	}
	fd, err := unix.PerfEventOpen(&attr, -1, cpu, -1, unix.PERF_FLAG_FD_CLOEXEC)
	if err != nil {
		return -1, fmt.Errorf("open clock of processor %d at %d Hz: %w", cpu, frequency, err)
	}
	if err := unix.IoctlSetInt(fd, unix.PERF_EVENT_IOC_SET_BPF, prog); err != nil {
		_ = unix.Close(fd)
		return -1, fmt.Errorf("attach program to processor %d: %w", cpu, err)
	}
	if err := unix.IoctlSetInt(fd, unix.PERF_EVENT_IOC_ENABLE, 0); err != nil {
		_ = unix.Close(fd)
		return -1, fmt.Errorf("start clock of processor %d: %w", cpu, err)
	}
	return fd, nil
}

// period is the time between two samples in nanoseconds.
func period(frequency int) uint64 { return uint64(time.Second) / uint64(frequency) }

// setFrequency changes how often a clock fires (perf_event_open(2),
// PERF_EVENT_IOC_PERIOD).
func setFrequency(fd, frequency int) error {
	value := period(frequency)
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.PERF_EVENT_IOC_PERIOD, uintptr(unsafe.Pointer(&value)))
	if errno != 0 {
		return errno
	}
	return nil
}

// clocks are the events of the processors that run, by processor.
type clocks map[int]int

// sync attaches prog to processors that came and detaches it from those that
// went. A processor that vanishes while it is attached is not an error.
func (c clocks) sync(frequency, prog int) error {
	online, err := onlineCPUs()
	if err != nil {
		return err
	}
	is := make(map[int]bool, len(online))
	for _, cpu := range online {
		is[cpu] = true
		if _, ok := c[cpu]; ok {
			continue
		}
		fd, err := attachClock(cpu, frequency, prog)
		if errors.Is(err, unix.ENODEV) {
			continue
		}
		if err != nil {
			return err
		}
		c[cpu] = fd
	}
	for cpu, fd := range c {
		if !is[cpu] {
			_ = unix.Close(fd)
			delete(c, cpu)
		}
	}
	return nil
}

// Close detaches the program from all processors.
func (c clocks) Close() error {
	for cpu, fd := range c {
		_ = unix.Close(fd)
		delete(c, cpu)
	}
	return nil
}
