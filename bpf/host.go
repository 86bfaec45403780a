package bpf

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"syscall"

	"github.com/cilium/ebpf"
)

// Options says what all profiles of a host have in common.
type Options struct {
	// MaxEntries is the number of different stacks that the CPU profile can count
	// between two calls of Collect; off-CPU waits and user locks have half as many,
	// kernel locks and slow system calls a quarter. One entry costs about 300 bytes
	// of kernel memory.
	MaxEntries int
	// MaxChunks bounds the memory of unwind tables in chunks of 256 KiB, up to
	// 1024.
	MaxChunks int
	// ExcludePID is a process that is not profiled, 0 for none.
	ExcludePID int
	// Targeted profiles only the processes that SetProcess marks as targets.
	Targeted bool
	// OnStack is called with every stack that was not seen before (or not since
	// Forget), from one goroutine of the Host. It must not keep the Stack.
	OnStack func(*Stack)
	// OnNotice is called with every notice of the kernel, from another
	// goroutine. It must not block for long.
	OnNotice func(Notice)
}

// Host is the part of the kernel that profiles this machine: the maps that all
// profiles share, and the profiles that were started. Its methods must not be
// called concurrently unless they say otherwise.
type Host struct {
	opts    Options
	shared  map[string]*ebpf.Map
	proc    *object
	objects []*object // that count stacks
	tables  *tables

	stacks     *ringReader
	notices    *ringReader
	generation uint32
	once       sync.Once
}

// sharedMaps are declared by every object and exist once.
var sharedMaps = []string{
	"writing", "seen", "generation", "stacks", "notices", "chunks", "chunk_0", "pages", "rules",
	"executables", "processes", "announced",
}

// Open creates the maps and begins to follow processes. A machine that cannot
// run BPF is reported as an [*UnavailableError]. Close the Host.
func Open(opts Options) (*Host, error) {
	if err := checkKernel(); err != nil {
		return nil, err
	}
	h := &Host{opts: opts, generation: 1, shared: make(map[string]*ebpf.Map)}
	if err := h.open(); err != nil {
		_ = h.Close()
		return nil, explain("loading the profiler", err)
	}
	return h, nil
}

func (h *Host) open() error {
	spec, err := loadProcObj()
	if err != nil {
		return err
	}
	spec.Maps["seen"].MaxEntries = max(uint32(h.opts.MaxEntries), 1024)
	// The maps are created on their own: they are needed even where the kernel
	// refuses the programs that follow processes.
	maps := &ebpf.CollectionSpec{Maps: make(map[string]*ebpf.MapSpec), Types: spec.Types, ByteOrder: spec.ByteOrder}
	for _, name := range sharedMaps {
		maps.Maps[name] = spec.Maps[name]
	}
	coll, err := ebpf.NewCollection(maps)
	if err != nil {
		return err
	}
	h.shared = coll.Maps
	if h.tables, err = newTables(h.shared, h.opts.MaxChunks); err != nil {
		return err
	}
	if err := h.shared["generation"].Update(uint32(0), h.generation, ebpf.UpdateAny); err != nil {
		return fmt.Errorf("open stack generation: %w", err)
	}
	h.proc, err = h.load(spec, 1, nil)
	if err == nil {
		err = h.proc.attachTracing()
	}
	if err != nil {
		return err
	}
	// Last: the rings keep what comes before, and a Host that cannot be opened
	// calls nobody, who may wait for it to be open.
	if h.stacks, err = readRing(h.shared["stacks"], h.stackRecord()); err != nil {
		return err
	}
	h.notices, err = readRing(h.shared["notices"], h.noticeRecord)
	return err
}

func (h *Host) stackRecord() func([]byte) {
	var s Stack
	return func(b []byte) {
		if s.decode(b) == nil && h.opts.OnStack != nil {
			h.opts.OnStack(&s)
		}
	}
}

func (h *Host) noticeRecord(b []byte) {
	var n Notice
	if n.decode(b) == nil && h.opts.OnNotice != nil {
		h.opts.OnNotice(n)
	}
}

// load loads an object with the shared maps and settings. It can count one part
// in share of what Options.MaxEntries allows. Only the named programs are kept,
// all if none is named.
func (h *Host) load(spec *ebpf.CollectionSpec, share int, settings map[string]any, programs ...string) (*object, error) {
	if len(programs) > 0 {
		keep := make(map[string]*ebpf.ProgramSpec, len(programs))
		for _, name := range programs {
			keep[name] = spec.Programs[name]
		}
		spec.Programs = keep
	}
	all := map[string]any{"skip_tgid": uint32(h.opts.ExcludePID)}
	if h.opts.Targeted {
		all["targeted"] = uint32(1)
	}
	if dev, ino, ok := ownPIDNamespace(); ok {
		all["pidns_dev"], all["pidns_ino"] = dev, ino
	}
	for name, value := range settings {
		all[name] = value
	}
	for name, value := range all {
		v := spec.Variables[name]
		if v == nil {
			return nil, fmt.Errorf("set %s: no such variable", name)
		}
		if err := v.Set(value); err != nil {
			return nil, fmt.Errorf("set %s: %w", name, err)
		}
	}
	if entries := uint32(max(1, h.opts.MaxEntries/share)); spec.Maps["counts"] != nil {
		spec.Maps["counts_a"].MaxEntries = entries
		spec.Maps["counts_b"].MaxEntries = entries
		spec.Maps["counts"].InnerMap.MaxEntries = entries
	}
	replace := make(map[string]*ebpf.Map, len(h.shared))
	for name, m := range h.shared {
		if spec.Maps[name] != nil {
			spec.Maps[name] = spec.Maps[name].Copy()
			spec.Maps[name].MaxEntries = m.MaxEntries()
			replace[name] = m
		}
	}
	coll, err := ebpf.NewCollectionWithOptions(spec, ebpf.CollectionOptions{MapReplacements: replace})
	if err != nil {
		return nil, err
	}
	return newObject(coll)
}

// remove takes o out of the profiles that are collected.
func (h *Host) remove(o *object) {
	h.objects = slices.DeleteFunc(h.objects, func(x *object) bool { return x == o })
}

// add makes o one of the profiles that are collected.
func (h *Host) add(o *object) { h.objects = append(h.objects, o) }

// initialPIDNamespace is the inode of the pid namespace of the host
// (PROC_PID_INIT_INO).
const initialPIDNamespace = 0xEFFFFFFC

// ownPIDNamespace identifies the pid namespace of this process. ok is false in
// the initial one, where the kernel's own numbers are the right ones.
func ownPIDNamespace() (dev, ino uint64, ok bool) {
	info, err := os.Stat("/proc/self/ns/pid")
	if err != nil {
		return 0, 0, false
	}
	st, isStat := info.Sys().(*syscall.Stat_t)
	if !isStat || st.Ino == initialPIDNamespace {
		return 0, 0, false
	}
	return uint64(st.Dev), st.Ino, true
}

// Collect appends to dst the counts of all profiles since the last Collect and
// returns it. No sample is lost or counted twice: the programs are given other
// maps, the kernel waits until no running program can hold the old ones, and
// then the old ones are emptied. All stacks of the counts were given to OnStack
// before.
func (h *Host) Collect(dst []Count) ([]Count, error) {
	for _, o := range h.objects {
		if err := o.swap(); err != nil {
			return dst, err
		}
	}
	if err := h.stacks.flush(); err != nil {
		return dst, fmt.Errorf("flush stack ring: %w", err)
	}
	var err error
	for _, o := range h.objects {
		if dst, err = o.drain(dst); err != nil {
			return dst, err
		}
	}
	return dst, nil
}

// Forget makes the programs send every stack again when it is next seen. Call
// it when stacks are about to be dropped, and keep those that are counted by
// the following Collect: they may have been seen before the call.
func (h *Host) Forget() error {
	h.generation++
	if err := h.shared["generation"].Update(uint32(0), h.generation, ebpf.UpdateAny); err != nil {
		return fmt.Errorf("open stack generation: %w", err)
	}
	return nil
}

// Stats returns the counters of the programs that follow processes.
func (h *Host) Stats() (Stats, error) { return h.proc.stats() }

// Close stops everything, profiles included, and frees it. It may be called more
// than once.
func (h *Host) Close() error {
	var err error
	h.once.Do(func() {
		if h.proc != nil {
			err = h.proc.close()
		}
		for _, o := range h.objects {
			err = errors.Join(err, o.close())
		}
		err = errors.Join(err, h.stacks.close(), h.notices.close(), h.tables.close())
		for _, m := range h.shared {
			err = errors.Join(err, m.Close())
		}
	})
	return err
}
