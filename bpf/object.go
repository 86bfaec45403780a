package bpf

import (
	"errors"
	"fmt"
	"io"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
)

// Count is how often a stack was seen since the last Collect, and how long what
// was measured took.
type Count struct {
	Hash, Count uint64
	// Sum, Min and Max are in nanoseconds; 0 for on-CPU samples.
	Sum, Min, Max uint64
}

// countValue is struct count_value in sample.h.
type countValue struct {
	Count, Sum, Min, Max, Unsent uint64
}

const drainBatch = 4096

// object is a loaded BPF object: programs that count stacks in maps which take
// turns, and their counters.
type object struct {
	coll  *ebpf.Collection
	links []io.Closer
	// idle is the counts map that the programs do not write to.
	idle, active *ebpf.Map

	keys []uint64
	vals []countValue
}

func newObject(coll *ebpf.Collection) (*object, error) {
	o := &object{coll: coll, active: coll.Maps["counts_a"], idle: coll.Maps["counts_b"]}
	if o.active == nil {
		return o, nil
	}
	o.keys, o.vals = make([]uint64, drainBatch), make([]countValue, drainBatch)
	if err := coll.Maps["counts"].Update(uint32(0), o.active, ebpf.UpdateAny); err != nil {
		coll.Close()
		return nil, fmt.Errorf("set counts: %w", err)
	}
	return o, nil
}

// attachTracing attaches all programs of the object to the tracepoints that
// their sections name (tp_btf).
func (o *object) attachTracing() error {
	for name, p := range o.coll.Programs {
		l, err := link.AttachTracing(link.TracingOptions{Program: p})
		if err != nil {
			return fmt.Errorf("attach %s: %w", name, err)
		}
		o.links = append(o.links, l)
	}
	return nil
}

// swap gives the programs the other counts map. It returns when no program can
// hold the old one: the update of a map of maps waits for an RCU grace period.
func (o *object) swap() error {
	if o.active == nil {
		return nil
	}
	if err := o.coll.Maps["counts"].Update(uint32(0), o.idle, ebpf.UpdateAny); err != nil {
		return fmt.Errorf("swap counts: %w", err)
	}
	o.active, o.idle = o.idle, o.active
	return nil
}

// drain empties the idle counts map.
func (o *object) drain(dst []Count) ([]Count, error) {
	if o.idle == nil {
		return dst, nil
	}
	var cursor ebpf.MapBatchCursor
	for {
		n, err := o.idle.BatchLookupAndDelete(&cursor, o.keys, o.vals, nil)
		for i, k := range o.keys[:n] {
			v := &o.vals[i]
			dst = append(dst, Count{Hash: k, Count: v.Count, Sum: v.Sum, Min: v.Min, Max: v.Max})
		}
		switch {
		case errors.Is(err, ebpf.ErrKeyNotExist):
			return dst, nil
		case err != nil:
			return dst, fmt.Errorf("drain counts: %w", err)
		}
	}
}

// detach stops the programs; what they counted stays.
func (o *object) detach() error {
	var err error
	for _, l := range o.links {
		err = errors.Join(err, l.Close())
	}
	o.links = nil
	return err
}

func (o *object) close() error {
	err := o.detach()
	o.coll.Close()
	return err
}
