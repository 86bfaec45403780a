package symbol

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/aperture-collector/aperture-collector/internal/procinfo"
)

const (
	// jitRefresh is how soon a perf map is looked at again.
	jitRefresh = time.Second
	// maxJITRead bounds how much of a perf map is read at once in the background
	// when the process becomes known, maxJITTail how much while a name is looked
	// up. The rest follows later.
	maxJITRead = 64 << 20
	maxJITTail = 8 << 20
	jitChunk   = 256 << 10
	// maxJITTable bounds the table of a process, besides the size of the cache.
	maxJITTable = 1 << 30
	// maxJITFiles is how many perf maps are kept open. An open one can still be
	// read when its process is gone.
	maxJITFiles = 512
	// maxJITCheck bounds how much of what was read is compared, to notice that a
	// file was written anew.
	maxJITCheck = 64
)

// jitCode names the anonymous memory of a process by the process's perf map.
// The lock of its File guards it.
type jitCode struct {
	pid     int
	start   uint64 // start time of the process
	kind    string // see runtimeKind
	checked time.Time
	table   perfMap
	full    bool // entries were left out, and counted
	failed  bool // it cannot be read, and that was counted

	fd       int // the perf map, -1 if it is not open
	dev, ino uint64
	offset   int64  // what has been read
	before   []byte // the last bytes before offset
	skip     bool   // the line at offset is too long
}

// jit returns a new File for the anonymous memory of a process. Release it.
func (c *Cache) jit(pid int, start uint64, kind string) *File {
	f := &File{
		Path: anonymous, cache: c, refs: 1,
		jit: &jitCode{pid: pid, start: start, kind: kind, fd: -1},
	}
	f.used.Store(time.Now().UnixNano())
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.jits) >= maxFiles {
		c.count(ErrorTooLarge)
		f.state.Store(stateFailed)
		return f
	}
	c.jits[f] = struct{}{}
	c.enqueue(f)
	return f
}

// lookup appends the code at addr to dst.
func (j *jitCode) lookup(addr uint64, dst []Symbol) []Symbol {
	name := j.table.find(addr)
	if name == nil {
		return dst
	}
	return append(dst, jitSymbol(text(name), j.kind))
}

// refreshJIT reads what the perf map has had added, at most limit bytes. f.mu
// is held.
func (f *File) refreshJIT(limit int) {
	j := f.jit
	j.checked = time.Now()
	before := j.table.bytes()
	err := j.open(f.cache)
	if err == nil {
		var dropped int
		dropped, err = j.read(limit, int(min(f.cache.maxBytes/4, maxJITTable)))
		if dropped > 0 && !j.full {
			j.full = true
			f.cache.count(ErrorTooLarge)
		}
	}
	if err != nil && errorKind(err) != ErrorGone && !j.failed { // most processes have none
		j.failed = true
		f.cache.count(errorKind(err))
	}
	f.addBytes(int64(j.table.bytes() - before))
	if j.fd >= 0 && f.cache.jitFiles.Load() > maxJITFiles {
		j.close(f.cache)
	}
}

// open opens the perf map, if it exists and is not the one that is open.
func (j *jitCode) open(c *Cache) error {
	if j.start != 0 && startTime(j.pid) != j.start {
		return nil // the process is gone
	}
	fd, err := openPerfMap(j.pid)
	if err != nil {
		return err
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		_ = unix.Close(fd)
		return fmt.Errorf("stat perf map: %w", err)
	}
	if uint64(st.Dev) == j.dev && st.Ino == j.ino {
		if j.fd >= 0 {
			_ = unix.Close(fd)
			return nil
		}
	} else {
		j.reset()
		j.dev, j.ino = uint64(st.Dev), st.Ino
	}
	j.close(c)
	j.fd = fd
	c.jitFiles.Add(1)
	return nil
}

func (j *jitCode) close(c *Cache) {
	if j.fd >= 0 {
		_ = unix.Close(j.fd)
		j.fd = -1
		c.jitFiles.Add(-1)
	}
}

// reset forgets what was read.
func (j *jitCode) reset() {
	j.table, j.full = perfMap{}, false
	j.offset, j.before, j.skip = 0, nil, false
}

// read reads from where it ended last time to the last end of a line.
func (j *jitCode) read(limit, tableLimit int) (dropped int, err error) {
	if j.fd < 0 {
		return 0, nil
	}
	if j.rewritten() {
		j.reset()
	}
	buf := make([]byte, jitChunk)
	for read := 0; read < limit; {
		n, err := unix.Pread(j.fd, buf, j.offset)
		if err != nil {
			return dropped, fmt.Errorf("read perf map: %w", err)
		}
		b := buf[:max(n, 0)]
		end := bytes.LastIndexByte(b, '\n') + 1
		if end == 0 {
			if len(b) < len(buf) {
				return dropped, nil // all but a line that is being written
			}
			end, j.skip = len(b), true
		}
		lines := b[:end]
		j.before = append(j.before[:0], lines[max(0, len(lines)-maxJITCheck):]...)
		j.offset += int64(end)
		read += end
		if j.skip {
			i := bytes.IndexByte(lines, '\n')
			if i < 0 {
				continue
			}
			lines, j.skip = lines[i+1:], false
		}
		dropped += j.table.add(lines, tableLimit)
	}
	return dropped, nil
}

// rewritten reports whether the file no longer has what was read from it.
func (j *jitCode) rewritten() bool {
	if j.offset == 0 {
		return false
	}
	b := make([]byte, len(j.before))
	n, err := unix.Pread(j.fd, b, j.offset-int64(len(b)))
	return err != nil || n != len(b) || !bytes.Equal(b, j.before)
}

// openPerfMap opens /tmp/perf-PID.map in the root directory of a process, where
// PID is its number in its own namespace. It opens only regular files of the
// process's user or of root, and follows no link there.
func openPerfMap(pid int) (int, error) {
	proc := "/proc/" + strconv.Itoa(pid)
	status, err := procinfo.ReadStatus(uint32(pid))
	if err != nil {
		return -1, err
	}
	own := status.NamespacedPID
	if own == 0 {
		own = uint32(pid)
	}
	root, err := unix.Open(proc+"/root", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("open root directory of process %d: %w", pid, err)
	}
	defer func() { _ = unix.Close(root) }()
	fd, err := unix.Openat2(root, fmt.Sprintf("tmp/perf-%d.map", own), &unix.OpenHow{
		Flags:   unix.O_PATH | unix.O_CLOEXEC | unix.O_NOFOLLOW,
		Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS,
	})
	if err != nil {
		return -1, fmt.Errorf("open perf map of process %d: %w", pid, err)
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		_ = unix.Close(fd)
		return -1, fmt.Errorf("stat perf map: %w", err)
	}
	if st.Uid != 0 && !slices.Contains(status.UIDs[:], st.Uid) {
		_ = unix.Close(fd)
		return -1, fmt.Errorf("open perf map of process %d: it belongs to user %d: %w", pid, st.Uid, os.ErrPermission)
	}
	return reopen(fd, 0, 0)
}
