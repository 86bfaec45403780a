package symbol

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"golang.org/x/sys/unix"
)

// Limits on the mappings of a process.
const (
	maxRegions   = 16384
	maxMapsBytes = 16 << 20
)

// region is an executable mapping of a process.
type region struct {
	start, end, off uint64
	// dev and inode identify the file; dev is not what stat says on file systems
	// that are layers over others.
	dev, inode uint64
	// path is as the process's mount namespace sees it, without " (deleted)",
	// or a name in brackets. Memory without a name is "[anon]".
	path    string
	deleted bool
}

const anonymous = "[anon]"

// errTooManyMappings tells that a process has more mappings than are read.
var errTooManyMappings = errors.New("too many mappings")

// parseMaps reads the executable regions of /proc/PID/maps (proc_pid_maps(5)),
// which are sorted by address. It returns what it has even with an error.
func parseMaps(r io.Reader) ([]region, error) {
	br := bufio.NewReaderSize(io.LimitReader(r, maxMapsBytes), 32<<10)
	var regions []region
	read := 0
	for {
		line, err := br.ReadSlice('\n')
		read += len(line)
		if errors.Is(err, io.EOF) && len(line) == 0 {
			if read >= maxMapsBytes {
				return regions, fmt.Errorf("%w: more than %d bytes of them", errTooManyMappings, maxMapsBytes)
			}
			return regions, nil
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return regions, fmt.Errorf("read mappings: %w", err)
		}
		m, isExec, ok := mapsLine(bytes.TrimSuffix(line, []byte("\n")))
		if !ok {
			return regions, fmt.Errorf("parse mapping %q: not as in proc_pid_maps(5)", printable(line[:min(len(line), 128)]))
		}
		if !isExec {
			continue
		}
		if n := len(regions); n > 0 && m.start < regions[n-1].end {
			return regions, fmt.Errorf("parse mappings: %#x comes after %#x", m.start, regions[n-1].end)
		}
		if len(regions) == maxRegions {
			return regions, fmt.Errorf("%w: more than %d executable ones", errTooManyMappings, maxRegions)
		}
		regions = append(regions, m)
	}
}

// mapsLine parses "start-end perms offset major:minor inode    path".
func mapsLine(b []byte) (m region, isExec, ok bool) {
	var f [5][]byte
	for i := range f {
		var found bool
		f[i], b, found = bytes.Cut(b, []byte(" "))
		if !found && i < 4 {
			return m, false, false
		}
	}
	start, end, _ := bytes.Cut(f[0], []byte("-"))
	major, minor, _ := bytes.Cut(f[3], []byte(":"))
	var okStart, okEnd, okOff bool
	m.start, okStart = parseHex(start)
	m.end, okEnd = parseHex(end)
	m.off, okOff = parseHex(f[2])
	maj, okMajor := parseHex(major)
	mnr, okMinor := parseHex(minor)
	m.dev = unix.Mkdev(uint32(maj), uint32(mnr))
	if !okStart || !okEnd || !okOff || !okMajor || !okMinor || m.end <= m.start || len(f[1]) != 4 {
		return m, false, false
	}
	for _, c := range f[4] {
		if c < '0' || c > '9' {
			return m, false, false
		}
		m.inode = m.inode*10 + uint64(c-'0')
	}
	if f[1][2] != 'x' {
		return m, false, true
	}
	m.setPath(strings.ReplaceAll(string(bytes.TrimLeft(b, " ")), `\012`, "\n"))
	return m, true, true
}

// anonymous reports whether the region has no file, or one that only serves to
// share memory, as just-in-time compilers use them.
func (m region) anonymous() bool {
	return m.path == anonymous || m.path == "[heap]" || strings.HasPrefix(m.path, "[stack") ||
		strings.HasPrefix(m.path, "[anon:") || strings.HasPrefix(m.path, "[anon_shmem:")
}

// shared reports whether the region may be anonymous although it has a file: a
// memfd can hold an executable as well.
func (m region) shared() bool {
	for _, p := range []string{"/memfd:", "/dev/zero", "/anon_hugepage", "/SYSV"} {
		if strings.HasPrefix(m.path, p) {
			return true
		}
	}
	return false
}

// inFile reports whether the region maps a file that could be opened.
func (m region) inFile() bool { return m.inode != 0 && strings.HasPrefix(m.path, "/") }
