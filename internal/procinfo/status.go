package procinfo

import (
	"bytes"
	"fmt"
	"strconv"
)

// Status is what /proc/PID/status (proc_pid_status(5)) tells about a process.
// Fields that it does not have are 0.
type Status struct {
	// PPID is the parent process, NamespacedPID the number that the process has
	// in its own pid namespace.
	PPID, NamespacedPID uint32
	// UIDs are the real, effective, saved and file system user.
	UIDs [4]uint32
}

// ReadStatus reads the status of a process. The error is os.ErrNotExist if there
// is none with this pid.
func ReadStatus(pid uint32) (Status, error) {
	b, err := readFile(procDir(pid)+"/status", maxStatus)
	if err != nil {
		return Status{}, fmt.Errorf("read status of process: %w", err)
	}
	return parseStatus(b), nil
}

func parseStatus(b []byte) (s Status) {
	for line := range bytes.SplitSeq(b, []byte("\n")) {
		key, value, _ := bytes.Cut(line, []byte(":"))
		switch string(key) {
		case "PPid":
			s.PPID = number(value)
		case "Uid":
			for i, v := range bytes.Fields(value) {
				if i < len(s.UIDs) {
					s.UIDs[i] = number(v)
				}
			}
		case "NSpid":
			// From the reader's namespace to the innermost.
			if f := bytes.Fields(value); len(f) > 0 {
				s.NamespacedPID = number(f[len(f)-1])
			}
			return s // the others come before
		}
	}
	return s
}

func number(b []byte) uint32 {
	n, err := strconv.ParseUint(string(bytes.TrimSpace(b)), 10, 32)
	if err != nil {
		return 0
	}
	return uint32(n)
}
