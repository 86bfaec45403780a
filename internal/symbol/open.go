package symbol

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// Errors of opening what a process has mapped.
var (
	errTooLarge   = errors.New("too large")
	errNotRegular = errors.New("not a regular file")
	errReplaced   = errors.New("the file at this path is another one by now")
)

// openRegion opens the file that a process has mapped. It never follows a path
// that a process controls out of the process's own root directory and never
// opens devices or pipes.
func openRegion(pid int, m region) (int, error) {
	proc := "/proc/" + strconv.Itoa(pid)
	// This is the mapped file itself, also if it was deleted or renamed. It
	// needs CAP_SYS_ADMIN or CAP_CHECKPOINT_RESTORE.
	link := fmt.Sprintf("%s/map_files/%x-%x", proc, m.start, m.end)
	if fd, err := unix.Open(link, unix.O_PATH|unix.O_CLOEXEC, 0); err == nil {
		return reopen(fd, 0, 0)
	}
	if m.deleted {
		return openExecutable(proc, m)
	}
	root, err := unix.Open(proc+"/root", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		if fd, hereErr := openHere(m); hereErr == nil {
			return fd, nil
		}
		return -1, fmt.Errorf("open root directory of process %d: %w", pid, err)
	}
	defer func() { _ = unix.Close(root) }()
	fd, err := unix.Openat2(root, m.path, &unix.OpenHow{
		Flags:   unix.O_PATH | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS,
	})
	if err != nil {
		// A directory on the way may be closed to us.
		if fd, exeErr := openExecutable(proc, m); exeErr == nil {
			return fd, nil
		}
		return -1, fmt.Errorf("open %q: %w", m.path, err)
	}
	return reopen(fd, 0, m.inode)
}

// openExecutable opens a mapped file that is the executable of the process: that
// can be reached without its path.
func openExecutable(proc string, m region) (int, error) {
	fd, err := unix.Open(proc+"/exe", unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("open executable %q: %w", m.path, err)
	}
	return reopen(fd, 0, m.inode)
}

// openHere opens the file at the same path in our own root directory, if it is
// the very file: what remains when the process has ended already.
func openHere(m region) (int, error) {
	fd, err := unix.Open(m.path, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("open %q: %w", m.path, err)
	}
	return reopen(fd, m.dev, m.inode)
}

// reopen opens the file behind an O_PATH descriptor for reading, if it is a
// regular file with the given device and inode numbers (0 for any). It closes
// path.
func reopen(path int, dev, inode uint64) (int, error) {
	defer func() { _ = unix.Close(path) }()
	var st unix.Stat_t
	if err := unix.Fstat(path, &st); err != nil {
		return -1, fmt.Errorf("stat mapped file: %w", err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return -1, errNotRegular
	}
	if inode != 0 && st.Ino != inode || dev != 0 && uint64(st.Dev) != dev {
		return -1, errReplaced
	}
	fd, err := unix.Open("/proc/self/fd/"+strconv.Itoa(path), unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NOCTTY, 0)
	if err != nil {
		return -1, fmt.Errorf("open mapped file: %w", err)
	}
	return fd, nil
}

// fileKey identifies the content of a file while it does not change.
type fileKey struct {
	dev, ino          uint64
	mtimeSec, mtimeNs int64
	size              int64
	ctimeSec, ctimeNs int64
	uid               uint32
}

func statKey(fd int) (fileKey, error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return fileKey{}, fmt.Errorf("stat mapped file: %w", err)
	}
	return fileKey{
		uid: st.Uid, dev: uint64(st.Dev), ino: st.Ino, size: st.Size,
		mtimeSec: int64(st.Mtim.Sec), mtimeNs: int64(st.Mtim.Nsec),
		ctimeSec: int64(st.Ctim.Sec), ctimeNs: int64(st.Ctim.Nsec),
	}, nil
}

// maxFileSize bounds the size of the files that are mapped.
const maxFileSize = 16 << 30

// mapFile maps a whole file for reading.
func mapFile(fd int, size int64) ([]byte, error) {
	if size == 0 {
		return nil, errNotELF
	}
	if size > maxFileSize {
		return nil, fmt.Errorf("map file: %w: %d bytes, limit %d", errTooLarge, size, int64(maxFileSize))
	}
	b, err := unix.Mmap(fd, 0, int(size), unix.PROT_READ, unix.MAP_PRIVATE)
	if err != nil {
		return nil, fmt.Errorf("map file: %w", err)
	}
	return b, nil
}

// vdso returns a copy of the code that the kernel maps into every process. It
// is the same in all of them.
func vdso() ([]byte, error) {
	f, err := os.Open("/proc/self/maps")
	if err != nil {
		return nil, fmt.Errorf("read own mappings: %w", err)
	}
	defer func() { _ = f.Close() }()
	regions, err := parseMaps(f)
	if err != nil {
		return nil, err
	}
	for _, m := range regions {
		if m.path != vdsoName {
			continue
		}
		b := make([]byte, min(m.end-m.start, 1<<20))
		mem, err := os.Open("/proc/self/mem")
		if err != nil {
			return nil, fmt.Errorf("open own memory: %w", err)
		}
		defer func() { _ = mem.Close() }()
		if _, err := mem.ReadAt(b, int64(m.start)); err != nil {
			return nil, fmt.Errorf("read vdso: %w", err)
		}
		return b, nil
	}
	return nil, errors.New("this process has no vdso")
}

const vdsoName = "[vdso]"
