package ebpfprofilingreceiver

import (
	"cmp"
	"slices"
	"sync"

	"github.com/aperture-collector/aperture-collector/bpf"
	"github.com/aperture-collector/aperture-collector/internal/symbol"
	"github.com/aperture-collector/aperture-collector/internal/tracker"
)

// Limits of the stack table.
const (
	stackCacheBytes = 32 << 20
	// forgetEvery is after how many intervals unknown stacks are asked for again.
	forgetEvery = 3
)

// stack is a stack as the table keeps it: user frames are resolved to files at
// once, because the process may not live until they are needed.
type stack struct {
	proc   *tracker.Process
	cgroup uint64
	comm   string
	kind   bpf.Kind
	object uint64
	detail uint16
	bucket uint8 // of a system call
	failed bool
	kernel []uint64
	user   []symbol.Frame
	tables []uint16 // numbers of the executables of user frames
	used   uint64   // interval of its last sample
}

func (s *stack) size() int64 { return 200 + int64(8*len(s.kernel)+16*len(s.user)+len(s.comm)) }

// stackTable knows the stacks that the kernel has sent, by their hash. The
// kernel sends each only once, so what is dropped here must be asked for again
// (see evict). It is safe for concurrent use.
type stackTable struct {
	mu       sync.Mutex
	tracker  *tracker.Tracker
	limit    int64
	byHash   map[uint64]*stack
	bytes    int64
	interval uint64
	forgot   uint64 // interval of the last call of forget
	evicting bool
	touched  map[uint16]bool // executables in the stacks of an interval
}

func newStackTable(t *tracker.Tracker) *stackTable {
	return &stackTable{tracker: t, limit: stackCacheBytes, byHash: make(map[uint64]*stack), touched: make(map[uint16]bool), interval: 1}
}

// add takes a stack from the kernel. It is refused, which its samples will show
// as unknown, when the table is at twice its limit.
func (t *stackTable) add(s *bpf.Stack) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if known := t.byHash[s.Hash]; known != nil {
		known.used = t.interval // it was sent again because it is in use again
		return
	}
	if t.bytes > 2*t.limit {
		return
	}
	e := &stack{
		proc: t.tracker.Process(s.PID, s.Image()), cgroup: s.CgroupID, comm: clean(s.Comm),
		kind: s.Kind, object: s.Object, detail: s.Detail, kernel: slices.Clone(s.Kernel), used: t.interval,
	}
	if s.Kind == bpf.KindSyscall {
		e.bucket, e.failed = bpf.SyscallDetail(s.Detail)
	}
	if len(s.User) > 0 {
		e.user = make([]symbol.Frame, len(s.User))
	}
	for i, f := range s.User {
		e.user[i] = t.tracker.Resolve(s.PID, s.Image(), f)
		if id := f.Executable(); id != 0 && !slices.Contains(e.tables, id) {
			e.tables = append(e.tables, id)
		}
	}
	t.byHash[s.Hash] = e
	t.bytes += e.size()
}

// sample is a stack and how often it was seen, with the sum and the extremes of
// what was measured, in nanoseconds.
type sample struct {
	*stack
	count, sum, min, max uint64
}

// take matches the counts of an interval with their stacks and begins the next
// one. unknown is the number of samples whose stack is not known.
func (t *stackTable) take(counts []bpf.Count, dst []sample) (samples []sample, unknown uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	clear(t.touched)
	for _, c := range counts {
		s := t.byHash[c.Hash]
		if s == nil {
			unknown += c.Count
			continue
		}
		s.used = t.interval
		for _, id := range s.tables {
			t.touched[id] = true
		}
		dst = append(dst, sample{s, c.Count, c.Sum, c.Min, c.Max})
	}
	for id := range t.touched {
		t.tracker.Touch(id)
	}
	return dst, unknown
}

// evict ends an interval: it drops the stacks of processes that are gone for
// good and, over the limit, those that were used least recently. The latter
// takes two intervals: first forget is called, after which the kernel sends
// every stack again that it sees. Only then, and only stacks that no sample of
// the interval in between refers to, are dropped.
//
// Samples whose stack is not known are a reason to call forget as well: the
// kernel believes that it has sent the stack.
func (t *stackTable) evict(forget func() error, unknown uint64) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.dropGone()
	defer func() { t.interval++ }()
	if t.evicting {
		t.evicting = false
		t.dropStacks()
		return nil
	}
	if full := t.bytes > t.limit; full || unknown > 0 && t.interval-t.forgot > forgetEvery {
		if err := forget(); err != nil {
			return err
		}
		t.evicting, t.forgot = full, t.interval
	}
	return nil
}

func (t *stackTable) dropStacks() {
	var old []uint64
	for h, s := range t.byHash {
		if s.used < t.interval {
			old = append(old, h)
		}
	}
	slices.SortFunc(old, func(a, b uint64) int { return cmp.Compare(t.byHash[a].used, t.byHash[b].used) })
	for _, h := range old {
		if t.bytes <= t.limit*3/4 {
			return
		}
		t.drop(h)
	}
}

func (t *stackTable) drop(h uint64) {
	t.bytes -= t.byHash[h].size()
	delete(t.byHash, h)
}

// dropGone drops the stacks of processes that the tracker has forgotten. None
// of them can be seen again.
func (t *stackTable) dropGone() {
	for h, s := range t.byHash {
		if s.proc.Gone() {
			t.drop(h)
		}
	}
}

// size returns the bytes that the stacks take.
func (t *stackTable) size() int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.bytes
}
