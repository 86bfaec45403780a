package procinfo

import (
	"io"
	"os"
	"strconv"
	"strings"
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
func readLimited(name string, limit int64) []byte {
	f, err := os.Open(name)
	if err != nil {
		return nil
	}
	defer func() { _ = f.Close() }()
	b, _ := io.ReadAll(io.LimitReader(f, limit))
	return b
}

// clean makes a string that another process chose fit for an attribute.
func clean(s string) string {
	return strings.ToValidUTF8(s[:min(len(s), maxAttribute)], "?")
}
