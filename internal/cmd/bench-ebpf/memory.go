package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// memory is what a process holds, in bytes.
type memory struct {
	resident, anonymous uint64
	// maps is the kernel memory of the BPF maps that it has open.
	maps uint64
}

func readMemory(pid int) (m memory, err error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return m, fmt.Errorf("read memory: %w", err)
	}
	for key, to := range map[string]*uint64{"VmRSS": &m.resident, "RssAnon": &m.anonymous} {
		if *to, err = field(string(status), key); err != nil {
			return m, fmt.Errorf("read memory: %w", err)
		}
		*to <<= 10
	}
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/fdinfo/*", pid))
	if err != nil {
		return m, err
	}
	seen := map[uint64]bool{} // the same map may be open twice
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			continue // closed in the meantime
		}
		id, err := field(string(b), "map_id")
		if err != nil || seen[id] {
			continue
		}
		seen[id] = true
		bytes, err := field(string(b), "memlock")
		if err != nil {
			return m, fmt.Errorf("read memory: %w", err)
		}
		m.maps += bytes
	}
	return m, nil
}

// field returns the number of a line `key: number` in a file of /proc.
func field(text, key string) (uint64, error) {
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, key+":"); ok {
			if f := strings.Fields(rest); len(f) > 0 {
				return strconv.ParseUint(f[0], 10, 64)
			}
		}
	}
	return 0, fmt.Errorf("no %s", key)
}
