package bpf

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/aperture-collector/aperture-collector/internal/unwind"
)

// Limits of the tables, as in tables.h.
const (
	// MaxExecutables bounds the numbers of executables; 0 is none of them.
	MaxExecutables = 32768
	// MaxMappings is the number of mappings that a process can have.
	MaxMappings = maxMappings * maxParts

	maxMappings = 120
	maxParts    = 8
	maxChunks   = 1024
	maxPages    = 131072
	maxRules    = 65536
)

// Mapping is an executable mapping of a process.
type Mapping struct {
	Start, End uint64
	// Bias is the address in the process minus the address as linked.
	Bias uint64
	// Executable is the number of what is mapped. 0 is code without a file, as of
	// a just-in-time compiler, whose frames are addresses of the process and whose
	// stacks follow frame pointers.
	Executable uint16
}

// ExecState says how the stacks of an executable are unwound.
type ExecState uint32

// States of executables, as enum executable_state in tables.h.
const (
	// ExecUnknown: the first sample asks for a table by a Notice.
	ExecUnknown ExecState = iota
	// ExecRequested: it did. Frame pointers are followed until the table comes.
	ExecRequested
	// ExecFramePointers: there is no table; frame pointers are followed.
	ExecFramePointers
	// ExecTable: there is a table.
	ExecTable
)

// Executable says where the table of an executable is, as [unwind.Table] does.
type Executable struct {
	PageBase, PageCount, FirstPage uint32
	State                          ExecState
}

// rawMapping and rawProcess are struct mapping and struct process.
type rawMapping struct {
	start, end, bias uint64
	executable, _    uint32
}

type rawProcess struct {
	image, missed, next uint64
	count, target       uint32
	mappings            [maxMappings]rawMapping
}

type processKey struct{ tgid, part uint32 }

// tables are the maps that the unwinder reads, most of them mapped into this
// process. It is safe for concurrent use.
type tables struct {
	processes, chunks *ebpf.Map
	chunkLimit        int

	mu          sync.Mutex
	closed      bool
	made        []*ebpf.Map
	mapped      [][]byte
	rows        [][]uint32
	pages       []uint64
	rules       []unwind.Rule
	executables []Executable
	raw         rawProcess
}

func newTables(maps map[string]*ebpf.Map, chunks int) (*tables, error) {
	t := &tables{processes: maps["processes"], chunks: maps["chunks"], chunkLimit: min(chunks, maxChunks)}
	for _, m := range []struct {
		name string
		take func([]byte)
	}{
		{"pages", func(b []byte) { t.pages = unsafe.Slice((*uint64)(unsafe.Pointer(&b[0])), maxPages) }},
		{"rules", func(b []byte) { t.rules = unsafe.Slice((*unwind.Rule)(unsafe.Pointer(&b[0])), maxRules) }},
		{"executables", func(b []byte) {
			t.executables = unsafe.Slice((*Executable)(unsafe.Pointer(&b[0])), MaxExecutables)
		}},
	} {
		b, err := t.mmap(maps[m.name])
		if err != nil {
			_ = t.close()
			return nil, fmt.Errorf("map %s: %w", m.name, err)
		}
		m.take(b)
	}
	return t, nil
}

// mmap maps the values of an array.
func (t *tables) mmap(m *ebpf.Map) ([]byte, error) {
	size := (int(m.ValueSize()) + 7) &^ 7 * int(m.MaxEntries())
	page := unix.Getpagesize()
	b, err := unix.Mmap(m.FD(), 0, (size+page-1)&^(page-1), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, err
	}
	t.mapped = append(t.mapped, b)
	return b, nil
}

func (t *tables) close() error {
	if t == nil {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	var err error
	for _, b := range t.mapped {
		err = errors.Join(err, unix.Munmap(b))
	}
	for _, m := range t.made {
		err = errors.Join(err, m.Close())
	}
	t.mapped, t.made, t.rows, t.pages, t.rules, t.executables = nil, nil, nil, nil, nil, nil
	return err
}

// Memory returns the memory of unwind tables, for an [unwind.Pool]. It must not
// be used after Close.
func (h *Host) Memory() unwind.Memory { return (*tableMemory)(h.tables) }

// PoolOptions returns the limits of Memory.
func (h *Host) PoolOptions() unwind.PoolOptions {
	return unwind.PoolOptions{MaxChunks: h.tables.chunkLimit, MaxPages: maxPages, MaxRules: maxRules}
}

type tableMemory tables

// Chunk implements unwind.Memory.
func (m *tableMemory) Chunk(i int) ([]uint32, error) {
	t := (*tables)(m)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return nil, errClosed
	}
	if i < 0 || i >= t.chunkLimit {
		return nil, fmt.Errorf("create chunk: number %d, limit %d", i, t.chunkLimit)
	}
	for len(t.rows) <= i {
		t.rows = append(t.rows, nil)
	}
	if t.rows[i] != nil {
		return t.rows[i], nil
	}
	chunk, err := ebpf.NewMap(&ebpf.MapSpec{
		Name: "chunk", Type: ebpf.Array, KeySize: 4, ValueSize: 4 * unwind.ChunkRows, MaxEntries: 1, Flags: unix.BPF_F_MMAPABLE,
	})
	if err != nil {
		return nil, fmt.Errorf("create chunk %d: %w", i, err)
	}
	b, err := t.mmap(chunk)
	if err == nil {
		err = t.chunks.Update(uint32(i), chunk, ebpf.UpdateAny)
	}
	if err != nil {
		_ = chunk.Close()
		return nil, fmt.Errorf("create chunk %d: %w", i, err)
	}
	t.made = append(t.made, chunk)
	t.rows[i] = unsafe.Slice((*uint32)(unsafe.Pointer(&b[0])), unwind.ChunkRows)
	return t.rows[i], nil
}

// Pages implements unwind.Memory.
func (m *tableMemory) Pages() []uint64 { return m.pages }

// Rules implements unwind.Memory.
func (m *tableMemory) Rules() []unwind.Rule { return m.rules }

var errClosed = errors.New("profiler is closed")

// SetProcess makes the mappings of a process known, sorted and at most
// MaxMappings. target marks it as one that a targeted Host profiles. It is safe
// for concurrent use.
func (h *Host) SetProcess(pid uint32, image uint64, target bool, m []Mapping) error {
	t := h.tables
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return errClosed
	}
	if len(m) > MaxMappings {
		return fmt.Errorf("set process %d: %d mappings, limit %d", pid, len(m), MaxMappings)
	}
	parts := max(1, (len(m)+maxMappings-1)/maxMappings)
	// From the last part to the first: a part is there before another refers to it.
	for part := parts - 1; part >= 0; part-- {
		of := m[part*maxMappings : min(len(m), (part+1)*maxMappings)]
		t.raw = rawProcess{image: image, count: uint32(len(of))}
		if target {
			t.raw.target = 1
		}
		if part+1 < parts {
			t.raw.next = m[(part+1)*maxMappings].Start
		}
		for i, x := range of {
			t.raw.mappings[i] = rawMapping{start: x.Start, end: x.End, bias: x.Bias, executable: uint32(x.Executable)}
		}
		if err := t.processes.Update(processKey{pid, uint32(part)}, unsafe.Pointer(&t.raw), ebpf.UpdateAny); err != nil {
			// Parts that no first part leads to would take room for good.
			for part++; part < parts; part++ {
				_ = t.processes.Delete(processKey{pid, uint32(part)})
			}
			return fmt.Errorf("set process %d: %w", pid, err)
		}
	}
	return nil
}

// DeleteProcess forgets a process. It is safe for concurrent use.
func (h *Host) DeleteProcess(pid uint32) error {
	t := h.tables
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return errClosed
	}
	for part := range uint32(maxParts) {
		err := t.processes.Delete(processKey{pid, part})
		if errors.Is(err, ebpf.ErrKeyNotExist) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("delete process %d: %w", pid, err)
		}
	}
	return nil
}

// SetExecutable publishes how the stacks of an executable are unwound. It is
// safe for concurrent use.
func (h *Host) SetExecutable(id uint16, x Executable) error {
	t := h.tables
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return errClosed
	}
	if id == 0 || id >= MaxExecutables {
		return fmt.Errorf("set executable %d: must be from 1 to %d", id, MaxExecutables-1)
	}
	at := &t.executables[id]
	// The program reads the state first and the rest only of a table.
	if at.State == ExecTable {
		atomic.StoreUint32((*uint32)(&at.State), uint32(ExecFramePointers))
	}
	at.PageBase, at.PageCount, at.FirstPage = x.PageBase, x.PageCount, x.FirstPage
	atomic.StoreUint32((*uint32)(&at.State), uint32(x.State))
	return nil
}
