package bpf

import (
	"bytes"
	"fmt"
	"math/bits"
	"unsafe"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

const (
	// DefaultSyscallEntries is the default of SyscallOptions.MaxEntries, for
	// which the kernel needs 8 MiB.
	DefaultSyscallEntries = 24576

	maxSyscallEntries = 3 << 16
	minSyscallRows    = 64 // MAX_PROBES in syscall.bpf.c
)

// callRow is struct row in syscall.bpf.c.
type callRow struct {
	tag, count, sum, min, max, image, cgroupID uint64
	pid, number                                uint32
	comm                                       [16]byte
	detail, claimed                            uint32
	_                                          [5]uint64
}

const callRowSize = uint32(unsafe.Sizeof(callRow{}))

// resizeRows makes room for entries rows in the tables of spec, and returns what
// the programs have to know about it. A quarter of the table stays free, so that
// a row is found near the place where it belongs.
func resizeRows(spec *ebpf.CollectionSpec, entries int) map[string]any {
	if entries <= 0 {
		entries = DefaultSyscallEntries
	}
	entries = min(entries, maxSyscallEntries)
	rows := max(minSyscallRows, uint32(1)<<bits.Len32(uint32(entries+entries/3-1)))
	size := rows * callRowSize
	spec.Maps["rows_a"].ValueSize, spec.Maps["rows_b"].ValueSize = size, size
	spec.Maps["rows"].InnerMap.ValueSize = size
	return map[string]any{"row_mask": rows - 1, "max_rows": uint32(entries)}
}

// rowTables are the two tables of system calls that take turns.
type rowTables struct {
	outer        *ebpf.Map
	active, idle *ebpf.Map
	// at finds the count of a key among those of one collect.
	at map[SyscallKey]int
}

func newRowTables(coll *ebpf.Collection) (*rowTables, error) {
	t := &rowTables{
		outer: coll.Maps["rows"], active: coll.Maps["rows_b"], idle: coll.Maps["rows_a"], at: make(map[SyscallKey]int),
	}
	return t, t.swap()
}

// swap gives the programs the other table. It returns when no program can hold
// the old one, as object.swap does.
func (t *rowTables) swap() error {
	if err := t.outer.Update(uint32(0), t.idle, ebpf.UpdateAny); err != nil {
		return fmt.Errorf("swap system calls: %w", err)
	}
	t.active, t.idle = t.idle, t.active
	return nil
}

// collect appends to dst what was counted since the last collect.
func (t *rowTables) collect(dst []SyscallCount) ([]SyscallCount, error) {
	if err := t.swap(); err != nil {
		return dst, err
	}
	size := int(t.idle.ValueSize())
	page := unix.Getpagesize()
	// Not for longer than it takes: the whole table counts as memory of this
	// process while it is mapped.
	b, err := unix.Mmap(t.idle.FD(), 0, (size+page-1)&^(page-1), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return dst, fmt.Errorf("map system calls: %w", err)
	}
	rows := unsafe.Slice((*callRow)(unsafe.Pointer(&b[0])), size/int(callRowSize))
	used := &rows[0].tag // it is never a row itself
	clear(t.at)
	for i := range rows[:min(*used, uint64(len(rows)))] {
		at := int(rows[i].claimed) % len(rows)
		dst = t.merge(dst, &rows[at])
		claimed := rows[at].claimed // may belong to a row that is yet to come
		rows[at] = callRow{claimed: claimed}
	}
	*used = 0
	if err := unix.Munmap(b); err != nil {
		return dst, fmt.Errorf("unmap system calls: %w", err)
	}
	return dst, nil
}

// merge adds a row to those of other processors.
func (t *rowTables) merge(dst []SyscallCount, r *callRow) []SyscallCount {
	key := SyscallKey{Image: r.image, PID: r.pid, Number: r.number}
	key.Bucket, key.Error = SyscallDetail(uint16(r.detail))
	i, ok := t.at[key]
	if !ok {
		t.at[key] = len(dst)
		comm, _, _ := bytes.Cut(r.comm[:], []byte{0})
		return append(dst, SyscallCount{
			SyscallKey: key, CgroupID: r.cgroupID, Comm: string(comm), Count: r.count, Sum: r.sum, Min: r.min, Max: r.max,
		})
	}
	c := &dst[i]
	c.Count += r.count
	c.Sum += r.sum
	c.Min, c.Max = min(c.Min, r.min), max(c.Max, r.max)
	return dst
}
