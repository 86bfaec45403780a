package symbol

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// procmapQuery is struct procmap_query of linux/fs.h, the argument of the ioctl
// PROCMAP_QUERY of /proc/PID/maps (Linux 6.11).
type procmapQuery struct {
	size, flags, addr              uint64 // in
	start, end, vmaFlags, pageSize uint64 // out
	off, inode                     uint64
	major, minor, nameSize, idSize uint32 // sizes are in and out
	nameAddr, buildIDAddr          uint64
}

const (
	procmapQueryIoctl = 3<<30 | uint(unsafe.Sizeof(procmapQuery{}))<<16 | 'f'<<8 | 17

	procmapExecutable = 0x04 // only such mappings
	procmapNext       = 0x10 // the mapping at the address or the next one
)

// errNoProcmap tells that the kernel is older than PROCMAP_QUERY.
var errNoProcmap = errors.New("no PROCMAP_QUERY")

// mapQuery is a query and the buffer for the name, both of which the kernel
// writes to: they must not be on a stack, which can move.
type mapQuery struct {
	query procmapQuery
	name  [4096]byte // PATH_MAX
}

var mapQueries = sync.Pool{New: func() any { return new(mapQuery) }}

// queryMap returns the executable region at addr, or with next the first one
// from there on; ok is false if there is none. maps is /proc/PID/maps.
func queryMap(maps int, addr uint64, next bool) (r region, ok bool, err error) {
	b := mapQueries.Get().(*mapQuery)
	defer mapQueries.Put(b)
	b.query = procmapQuery{
		size: uint64(unsafe.Sizeof(b.query)), flags: procmapExecutable, addr: addr,
		nameSize: uint32(len(b.name)), nameAddr: uint64(uintptr(unsafe.Pointer(&b.name))),
	}
	if next {
		b.query.flags |= procmapNext
	}
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(maps), uintptr(procmapQueryIoctl), uintptr(unsafe.Pointer(&b.query)))
	switch errno {
	case 0:
	case unix.ENOENT, unix.ESRCH: // ESRCH: the process has no memory any more
		return r, false, nil
	case unix.ENOTTY, unix.EINVAL:
		return r, false, errNoProcmap
	default:
		return r, false, fmt.Errorf("query mapping at %#x: %w", addr, errno)
	}
	q := &b.query
	if q.end <= q.start {
		return r, false, fmt.Errorf("query mapping at %#x: it begins at %#x and ends at %#x", addr, q.start, q.end)
	}
	r = region{start: q.start, end: q.end, off: q.off, dev: unix.Mkdev(q.major, q.minor), inode: q.inode}
	path, _, _ := bytes.Cut(b.name[:min(int(q.nameSize), len(b.name))], []byte{0})
	r.setPath(string(path))
	return r, true, nil
}

// setPath takes a path or name as the kernel spells it.
func (r *region) setPath(path string) {
	r.path, r.deleted = strings.CutSuffix(path, " (deleted)")
	if r.path == "" {
		r.path = anonymous
	}
}

// queryMaps reads the executable regions of a process, without the others.
func queryMaps(pid int) ([]region, error) {
	maps, err := unix.Open("/proc/"+strconv.Itoa(pid)+"/maps", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = unix.Close(maps) }()
	var regions []region
	for addr := uint64(0); ; {
		r, ok, err := queryMap(maps, addr, true)
		if err != nil || !ok {
			return regions, err
		}
		if len(regions) == maxRegions {
			return regions, fmt.Errorf("%w: more than %d executable ones", errTooManyMappings, maxRegions)
		}
		regions = append(regions, r)
		addr = r.end
	}
}
