package ebpfprofilingreceiver

import (
	"bytes"
	"io"
	"os"
	"strconv"
)

const statFile = "/proc/stat"

// busySeconds returns how long all processors together have not been idle since
// boot, from the first line of /proc/stat (proc_stat(5)).
func busySeconds(stat []byte) (float64, bool) {
	line, _, _ := bytes.Cut(stat, []byte("\n"))
	fields := bytes.Fields(line)
	if len(fields) < 8 || string(fields[0]) != "cpu" {
		return 0, false
	}
	var ticks uint64
	for _, i := range []int{1, 2, 3, 6, 7} { // user, nice, system, irq, softirq
		v, err := strconv.ParseUint(string(fields[i]), 10, 64)
		if err != nil {
			return 0, false
		}
		ticks += v
	}
	return float64(ticks) / 100, true
}

// readStat returns the beginning of /proc/stat, nil if it cannot be read.
func readStat() []byte {
	f, err := os.Open(statFile)
	if err != nil {
		return nil
	}
	defer func() { _ = f.Close() }()
	b, _ := io.ReadAll(io.LimitReader(f, 4096))
	return b
}
