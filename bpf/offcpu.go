package bpf

import (
	"fmt"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
)

// offCPUStates are the names of enum wait_state in offcpu.h.
var offCPUStates = [...]string{
	"runnable", "interruptible", "uninterruptible", "stopped", "traced", "idle", "other",
}

// OffCPUState returns why a thread was off the CPU, given the Object of a Stack
// of KindOffCPU:
//   - runnable: it could have run (it was preempted, or yielded),
//   - interruptible: it waited for something (S in ps(1)),
//   - uninterruptible: it waited and took no signals, as for a disk (D),
//   - stopped: it was stopped by a signal (T),
//   - traced: a debugger stopped it (t),
//   - idle: it waited as uninterruptible, but is not part of the load (I),
//   - other: it was in a state that is none of these.
func OffCPUState(object uint64) string {
	if object >= uint64(len(offCPUStates)) {
		return "other"
	}
	return offCPUStates[object]
}

// OffCPUOptions says what the off-CPU profile measures.
type OffCPUOptions struct {
	// MinDuration is the shortest wait that is counted.
	MinDuration time.Duration
}

// OffCPU is a running profile of the waits of user threads: from when the kernel
// switches away from a thread to when it switches back, including the time that
// the thread waits for a processor in the end. Waits that had begun before the
// profile are not counted. The Below counter is an estimate.
type OffCPU struct {
	running
	sampled error
}

// StartOffCPU starts to measure waits.
func (h *Host) StartOffCPU(opts OffCPUOptions) (*OffCPU, error) {
	return h.startOffCPU(opts, loadOffcpuObj, loadOffcpusampledObj)
}

// startOffCPU runs the first of the objects that the kernel takes and attaches.
func (h *Host) startOffCPU(opts OffCPUOptions, specs ...func() (*ebpf.CollectionSpec, error)) (*OffCPU, error) {
	if opts.MinDuration < 0 {
		return nil, fmt.Errorf("start the off-CPU profile: minimum duration %s is negative", opts.MinDuration)
	}
	if !h.Unwinds() {
		return nil, &UnavailableError{Reason: ReasonKernelTooOld, Detail: "loading the off-CPU profile needs kernel 5.17 or later"}
	}
	var o *object
	var err, sampled error
	for _, spec := range specs {
		sampled = err
		if o, err = h.runOffCPU(spec, opts.MinDuration); err == nil {
			break
		}
	}
	if err != nil {
		return nil, explain("starting the off-CPU profile", err)
	}
	h.add(o)
	return &OffCPU{running: running{host: h, objects: []*object{o}}, sampled: sampled}, nil
}

// runOffCPU loads one of the objects and attaches its programs.
func (h *Host) runOffCPU(load func() (*ebpf.CollectionSpec, error), minDuration time.Duration) (*object, error) {
	spec, err := load()
	if err != nil {
		return nil, err
	}
	settings := map[string]any{"min_ns": uint64(minDuration)}
	if hasPrevState() {
		settings["has_prev_state"] = uint32(1)
	}
	o, err := h.load(spec, 2, settings)
	if err != nil {
		return nil, err
	}
	if err := o.attachTracing(); err != nil {
		_ = o.close()
		return nil, err
	}
	return o, nil
}

// hasPrevState tells whether the sched_switch tracepoint says what state the
// thread was in (since 5.18). Otherwise the program reads it from the thread,
// where it may have changed.
func hasPrevState() bool {
	kernel, err := btf.LoadKernelSpec()
	if err != nil {
		return false
	}
	var def *btf.Typedef
	if err := kernel.TypeByName("btf_trace_sched_switch", &def); err != nil {
		return false
	}
	pointer, ok := def.Type.(*btf.Pointer)
	if !ok {
		return false
	}
	// Context, preempt, prev, next, prev_state; they have no names.
	proto, ok := pointer.Target.(*btf.FuncProto)
	if !ok || len(proto.Params) != 5 {
		return false
	}
	_, ok = btf.UnderlyingType(proto.Params[4].Type).(*btf.Int)
	return ok
}

// Sampled tells why the profile takes stacks before some of the waits instead of
// after each that is long enough, nil if it does not. It does where the kernel
// has no task work for BPF (before 6.18). The profile is an estimate then:
// threads whose last wait was long have the stack of the next one taken; of all
// other waits one in 64 is, and is counted 64 times.
func (c *OffCPU) Sampled() error { return c.sampled }

// SetMinDuration changes the shortest wait that is counted, from the next
// switch on.
func (c *OffCPU) SetMinDuration(d time.Duration) error {
	if d < 0 {
		return fmt.Errorf("set minimum off-CPU duration: %s is negative", d)
	}
	for _, o := range c.objects {
		if err := o.coll.Variables["min_ns"].Set(uint64(d)); err != nil {
			return fmt.Errorf("set minimum off-CPU duration to %s: %w", d, err)
		}
	}
	return nil
}
