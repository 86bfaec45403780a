package ebpfprofilingreceiver

import (
	"cmp"
	"slices"
	"sync"

	"github.com/aperture-collector/aperture-collector/bpf"
	"github.com/aperture-collector/aperture-collector/internal/symbol"
)

// Limits of the stack table.
const (
	stackCacheBytes = 32 << 20
	maxProcesses    = 16384
	// keepProcess is for how many intervals a process that has ended is kept.
	keepProcess = 2
	// forgetEvery is after how many intervals unknown stacks are asked for again.
	forgetEvery = 3
)

// processKey identifies a program run by a process: pids are used again, and an
// exec replaces the program but keeps pid and start time.
type processKey struct {
	pid   uint32
	exec  uint16
	start uint64
}

type process struct {
	key    processKey
	info   processInfo
	space  *symbol.Space // nil for kernel threads
	stacks int           // entries of the table that belong to it
	seen   uint64        // interval of its last sample
	ended  bool
}

// stack is a stack as the table keeps it: user frames are resolved to files at
// once, because the process may not live until they are needed.
type stack struct {
	proc   *process
	comm   string
	kernel []uint64
	user   []symbol.Frame
	used   uint64 // interval of its last sample
}

func (s *stack) size() int64 { return 200 + int64(8*len(s.kernel)+16*len(s.user)+len(s.comm)) }

// stackTable knows the stacks that the kernel has sent, by their hash. The
// kernel sends each only once, so what is dropped here must be asked for again
// (see evict). It is safe for concurrent use.
type stackTable struct {
	mu       sync.Mutex
	symbols  *symbol.Cache
	limit    int64
	byHash   map[uint64]*stack
	procs    map[processKey]*process
	latest   map[uint32]*process // by pid
	bytes    int64
	interval uint64
	forgot   uint64 // interval of the last call of forget
	evicting bool

	noProcess, noMapping int64 // unresolved frames, by reason
}

func newStackTable(symbols *symbol.Cache) *stackTable {
	return &stackTable{
		symbols: symbols, limit: stackCacheBytes, byHash: make(map[uint64]*stack),
		procs: make(map[processKey]*process), latest: make(map[uint32]*process), interval: 1,
	}
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
	p := t.process(s)
	if p == nil {
		return
	}
	e := &stack{proc: p, comm: clean(s.Comm), kernel: slices.Clone(s.Kernel), used: t.interval}
	if p.space != nil {
		e.user = t.resolve(p.space, s.User)
	}
	t.byHash[s.Hash] = e
	t.bytes += e.size()
	p.stacks++
}

// resolve turns instruction pointers into frames of files. All but the leaf are
// return addresses, which may belong to the next function or line already: the
// call is the byte before.
func (t *stackTable) resolve(space *symbol.Space, ips []uint64) []symbol.Frame {
	frames := make([]symbol.Frame, len(ips))
	for i, ip := range ips {
		if i > 0 {
			ip--
		}
		frames[i] = space.Resolve(ip)
		switch {
		case frames[i].File != nil:
		case space.Err() != nil:
			t.noProcess++
		default:
			t.noMapping++
		}
	}
	return frames
}

// process returns the process of a stack, nil if there are too many.
func (t *stackTable) process(s *bpf.Stack) *process {
	key := processKey{pid: s.PID, start: s.StartTime, exec: s.ExecID}
	if p := t.procs[key]; p != nil {
		return p
	}
	if len(t.procs) >= maxProcesses {
		return nil
	}
	kthread := s.Status&bpf.StackKthread != 0
	p := &process{key: key, seen: t.interval}
	if kthread || running(key.pid, key.start) {
		p.info = readProcess(key.pid, s.Comm, kthread)
	} else {
		name := clean(s.Comm)
		p.info, p.ended = processInfo{name: name, service: name}, true
	}
	if !kthread {
		p.space = t.symbols.Space(int(key.pid))
	}
	if old := t.latest[key.pid]; old != nil {
		old.ended = true
	}
	t.latest[key.pid] = p
	t.procs[key] = p
	return p
}

// sample is a stack and how often it was seen.
type sample struct {
	*stack
	count uint64
}

// take matches the counts of an interval with their stacks and begins the next
// one. unknown is the number of samples whose stack is not known.
func (t *stackTable) take(counts []bpf.Count, dst []sample) (samples []sample, unknown uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, c := range counts {
		s := t.byHash[c.Hash]
		if s == nil {
			unknown += c.Count
			continue
		}
		s.used, s.proc.seen = t.interval, t.interval
		dst = append(dst, sample{s, c.Count})
	}
	return dst, unknown
}

// evict ends an interval: it forgets processes that have ended and, over the
// limit, the stacks that were used least recently. The latter takes two
// intervals: first forget is called, after which the kernel sends every stack
// again that it sees. Only then, and only stacks that no sample of the interval
// in between refers to, are dropped.
//
// Samples whose stack is not known are a reason to call forget as well: the
// kernel believes that it has sent the stack.
func (t *stackTable) evict(forget func() error, unknown uint64) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.dropProcesses()
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
	s := t.byHash[h]
	delete(t.byHash, h)
	t.bytes -= s.size()
	s.proc.stacks--
}

// dropProcesses forgets processes that are gone for good, with their stacks,
// and those without stacks. None of their stacks can be seen again.
func (t *stackTable) dropProcesses() {
	gone := make(map[*process]bool)
	for _, p := range t.procs {
		if p.seen+keepProcess > t.interval {
			continue
		}
		if p.stacks == 0 || p.ended || !running(p.key.pid, p.key.start) {
			gone[p] = true
		}
	}
	if len(gone) == 0 {
		return
	}
	for h, s := range t.byHash {
		if gone[s.proc] {
			t.drop(h)
		}
	}
	for p := range gone {
		t.closeProcess(p)
	}
}

func (t *stackTable) closeProcess(p *process) {
	if p.space != nil {
		p.space.Close()
	}
	delete(t.procs, p.key)
	if t.latest[p.key.pid] == p {
		delete(t.latest, p.key.pid)
	}
}

// close gives all processes up.
func (t *stackTable) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, p := range t.procs {
		t.closeProcess(p)
	}
	clear(t.byHash)
	t.bytes = 0
}

// tableStats are numbers of the table for telemetry.
type tableStats struct {
	processes            int
	bytes                int64
	noProcess, noMapping int64
}

func (t *stackTable) stats() tableStats {
	t.mu.Lock()
	defer t.mu.Unlock()
	return tableStats{len(t.procs), t.bytes, t.noProcess, t.noMapping}
}
