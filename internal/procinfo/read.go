package procinfo

import (
	"errors"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Limits on what is read about a process, and on what is kept of it.
const (
	maxCgroup    = 64 << 10
	maxEnviron   = 256 << 10
	maxStatus    = 16 << 10
	maxAttribute = 4096
)

func procDir(pid uint32) string { return "/proc/" + strconv.FormatUint(uint64(pid), 10) }

// readLimited returns up to limit bytes of a file, nil if it cannot be read.
func readLimited(name string, limit int) []byte {
	b, err := readFile(name, limit)
	if err != nil {
		return nil
	}
	return b
}

// readFile reads up to limit bytes of a file of /proc. It takes half of the
// time of package os, which prepares files for waiting and reads in small
// pieces.
func readFile(name string, limit int) ([]byte, error) {
	fd, err := unix.Open(name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: name, Err: err}
	}
	defer func() { _ = unix.Close(fd) }()
	b := make([]byte, 0, min(limit, 4096))
	for len(b) < limit {
		if len(b) == cap(b) {
			b = slices.Grow(b, min(len(b), limit-len(b)))
		}
		n, err := unix.Read(fd, b[len(b):min(cap(b), limit)])
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return b, &os.PathError{Op: "read", Path: name, Err: err}
		case n == 0:
			return b, nil
		}
		b = b[:len(b)+n]
	}
	return b, nil
}

// clean makes a string that another process chose fit for an attribute.
func clean(s string) string {
	return strings.ToValidUTF8(s[:min(len(s), maxAttribute)], "?")
}
