package bpf

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/ringbuf"
)

// CPUOptions says how to sample.
type CPUOptions struct {
	// Frequency is the number of samples per second and processor.
	Frequency int
	// MaxEntries is the number of different stacks that can be counted between
	// two calls of Collect. One entry costs about 250 bytes of kernel memory.
	MaxEntries int
	// ExcludePID is a process that is not sampled, 0 for none.
	ExcludePID int
	// OnStack is called with every stack that was not seen before (or not since
	// Forget), from one goroutine of the CPU. It must not keep the Stack.
	OnStack func(*Stack)
}

// Count is how often a stack was seen since the last Collect.
type Count struct {
	Hash, Count uint64
}

// CPU is a running CPU profile of the whole host.
type CPU struct {
	opts   CPUOptions
	objs   cpuObjObjects
	clocks clocks
	reader *ringbuf.Reader
	// idle is the counts map that the program does not write to.
	idle, active *ebpf.Map
	generation   uint32
	stopped      bool

	flushed chan struct{}
	done    chan struct{}
	once    sync.Once

	keys []uint64
	vals []cpuObjCountValue
}

// OpenCPU loads the program and starts sampling. A machine that cannot run it
// is reported as an [*UnavailableError].
func OpenCPU(opts CPUOptions) (*CPU, error) {
	if err := checkKernel(); err != nil {
		return nil, err
	}
	c := &CPU{
		opts: opts, clocks: clocks{}, generation: 1,
		flushed: make(chan struct{}, 1), done: make(chan struct{}),
		keys: make([]uint64, drainBatch), vals: make([]cpuObjCountValue, drainBatch),
	}
	if err := c.load(); err != nil {
		return nil, explain("loading the CPU profiler", err)
	}
	reader, err := ringbuf.NewReader(c.objs.Stacks)
	if err != nil {
		_ = c.objs.Close()
		return nil, fmt.Errorf("open stack ring: %w", err)
	}
	c.reader = reader
	go c.readStacks()
	if err := c.clocks.sync(opts.Frequency, c.objs.ApertureCpu.FD()); err != nil {
		_ = c.Close()
		return nil, explain("starting the CPU profiler", err)
	}
	return c, nil
}

func (c *CPU) load() error {
	spec, err := loadCpuObj()
	if err != nil {
		return err
	}
	entries := uint32(c.opts.MaxEntries)
	spec.Maps[cpuObjMapCountsA].MaxEntries = entries
	spec.Maps[cpuObjMapCountsB].MaxEntries = entries
	spec.Maps[cpuObjMapCounts].InnerMap.MaxEntries = entries
	// Evicting from `seen` only costs sending a stack again.
	spec.Maps[cpuObjMapSeen].MaxEntries = max(entries, 1024)
	if err := spec.Variables[cpuObjVarSkipTgid].Set(uint32(c.opts.ExcludePID)); err != nil {
		return err
	}
	if dev, ino, ok := ownPIDNamespace(); ok {
		if err := spec.Variables[cpuObjVarPidnsDev].Set(dev); err != nil {
			return err
		}
		if err := spec.Variables[cpuObjVarPidnsIno].Set(ino); err != nil {
			return err
		}
	}
	if err := spec.LoadAndAssign(&c.objs, nil); err != nil {
		return err
	}
	c.active, c.idle = c.objs.CountsA, c.objs.CountsB
	err = c.objs.Generation.Update(uint32(0), c.generation, ebpf.UpdateAny)
	if err == nil {
		err = c.objs.Counts.Update(uint32(0), c.active, ebpf.UpdateAny)
	}
	if err != nil {
		_ = c.objs.Close()
	}
	return err
}

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

// readStacks hands new stacks on until the reader is closed.
func (c *CPU) readStacks() {
	defer close(c.done)
	var rec ringbuf.Record
	var s Stack
	for {
		switch err := c.reader.ReadInto(&rec); {
		case errors.Is(err, ringbuf.ErrFlushed):
			c.flushed <- struct{}{}
		case err != nil: // closed
			return
		case s.decode(rec.RawSample) == nil:
			c.opts.OnStack(&s)
		}
	}
}

const drainBatch = 4096

// Collect appends to dst the counts since the last Collect and returns it. No
// sample is lost or counted twice: the program is given the other map, the
// kernel waits until no running program can hold the old one, and then the old
// one is emptied. All stacks of the counts were given to OnStack before.
//
// It also follows processors that were switched on or off. Collect must not be
// called concurrently with itself, Forget or Close.
func (c *CPU) Collect(dst []Count) ([]Count, error) {
	// The update of a map of maps returns only after an RCU grace period.
	if err := c.objs.Counts.Update(uint32(0), c.idle, ebpf.UpdateAny); err != nil {
		return dst, fmt.Errorf("swap counts: %w", err)
	}
	c.active, c.idle = c.idle, c.active
	if err := c.reader.Flush(); err != nil {
		return dst, fmt.Errorf("flush stack ring: %w", err)
	}
	select {
	case <-c.flushed:
	case <-c.done:
		return dst, fmt.Errorf("flush stack ring: %w", os.ErrClosed)
	}
	dst, err := c.drain(dst)
	if err != nil {
		return dst, err
	}
	if c.stopped {
		return dst, nil
	}
	return dst, c.clocks.sync(c.opts.Frequency, c.objs.ApertureCpu.FD())
}

func (c *CPU) drain(dst []Count) ([]Count, error) {
	var cursor ebpf.MapBatchCursor
	for {
		n, err := c.idle.BatchLookupAndDelete(&cursor, c.keys, c.vals, nil)
		for i, k := range c.keys[:n] {
			dst = append(dst, Count{Hash: k, Count: c.vals[i].Count})
		}
		switch {
		case errors.Is(err, ebpf.ErrKeyNotExist):
			return dst, nil
		case err != nil:
			return dst, fmt.Errorf("drain counts: %w", err)
		}
	}
}

// Forget makes the program send every stack again when it is next seen. Call it
// when stacks are about to be dropped, and keep those that are counted by the
// following Collect: they may have been seen before the call.
func (c *CPU) Forget() error {
	c.generation++
	if err := c.objs.Generation.Update(uint32(0), c.generation, ebpf.UpdateAny); err != nil {
		return fmt.Errorf("open stack generation: %w", err)
	}
	return nil
}

// Stop ends sampling; what was counted can still be collected.
func (c *CPU) Stop() {
	c.stopped = true
	c.clocks.close()
}

// Close stops sampling and frees everything. It may be called more than once.
func (c *CPU) Close() error {
	var err error
	c.once.Do(func() {
		c.clocks.close()
		err = c.reader.Close()
		<-c.done
		err = errors.Join(err, c.objs.Close())
	})
	return err
}
