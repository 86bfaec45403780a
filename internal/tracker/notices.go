package tracker

import (
	"slices"
	"sync"
	"time"

	"github.com/aperture-collector/aperture-collector/bpf"
)

// Limits of what notices can cause.
const (
	// maxNotices is more than the ring of the kernel holds.
	maxNotices = 32768
	// execsPerSecond is how many new programs are looked at when they begin. The
	// others are when they are sampled: most of the programs of a host that
	// starts hundreds a second never are.
	execsPerSecond = 25
	execBurst      = 300
	// detailsDue is how many processes may wait for their details to be read
	// while there are notices to handle.
	detailsDue = 32
	// linked is how long after it began a program has most of its libraries
	// mapped: then it is looked at once more, before most of the first samples.
	linked = 3 * time.Millisecond
)

// queue holds notices until they are handled.
type queue struct {
	mu      sync.Mutex
	notices []bpf.Notice
	taken   int // that are being handled
	dropped int64
	resync  bool
	wake    chan struct{}
}

// Notify takes a notice of the kernel. It does not block; a notice that the
// queue has no room for is counted, and made up for by Resync.
func (t *Tracker) Notify(n bpf.Notice) {
	t.notices.mu.Lock()
	if len(t.notices.notices) < maxNotices {
		t.notices.notices = append(t.notices.notices, n)
	} else {
		t.notices.dropped++
		t.notices.resync = true
	}
	t.notices.mu.Unlock()
	t.notices.signal()
}

// Resync makes up for notices that were lost in the kernel: tables that were
// asked for are waited for by nobody else. It does not block. Processes need
// nothing: those whose notice was lost become known by their stacks.
func (t *Tracker) Resync() {
	t.notices.mu.Lock()
	t.notices.resync = true
	t.notices.mu.Unlock()
	t.notices.signal()
}

func (q *queue) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// take returns all notices, in place of the slice of the last call.
func (q *queue) take(old []bpf.Notice) (notices []bpf.Notice, resync bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	notices, resync = q.notices, q.resync
	if cap(old) > 4096 { // what a storm took is given back
		old = nil
	}
	q.notices, q.resync, q.taken = old[:0], false, len(notices)
	return notices, resync
}

// follow handles notices until the tracker is closed. When there is none it
// reads what new processes are, and what they have mapped since they began.
func (t *Tracker) follow() {
	defer t.wg.Done()
	var notices []bpf.Notice
	var details, linking []*Process
	again := time.NewTimer(time.Hour)
	defer again.Stop()
	for {
		var resync bool
		notices, resync = t.notices.take(notices)
		if resync {
			t.askAgain()
		}
		for _, n := range notices {
			if t.closed() {
				return
			}
			if p := t.handle(n); p != nil {
				details = append(details, p)
				if !p.execed.IsZero() {
					linking = append(linking, p)
				}
			}
			if len(details) > detailsDue {
				details = readDetails(details)
			}
			linking = t.lookAgain(linking)
		}
		if len(notices) > 0 {
			continue
		}
		if len(details) > 0 {
			details = readDetails(details)
			continue
		}
		linking = t.lookAgain(linking)
		if len(linking) > 0 {
			again.Reset(time.Until(linking[0].execed.Add(linked)))
		}
		select {
		case <-t.closing:
			return
		case <-t.notices.wake:
		case <-again.C:
		}
	}
}

// lookAgain looks at the libraries of those processes that have them by now.
func (t *Tracker) lookAgain(of []*Process) []*Process {
	n := 0
	for n < len(of) && time.Since(of[n].execed) >= linked {
		t.work.Lock()
		if t.refresh(of[n]) {
			t.buildTables(of[n])
		}
		t.work.Unlock()
		n++
	}
	return slices.Delete(of, 0, n)
}

func readDetails(of []*Process) []*Process {
	of[0].readInfo()
	return slices.Delete(of, 0, 1)
}

// handle does what a notice asks for. It returns a new process.
func (t *Tracker) handle(n bpf.Notice) *Process {
	t.work.Lock()
	defer t.work.Unlock()
	k := key{n.PID, n.Image}
	switch n.Kind {
	case bpf.NoticeExec:
		if t.find(k) != nil { // its first stack was faster
			return nil
		}
		t.end(n.PID)
		if !t.execs.allow(time.Now()) {
			t.count(func(s *Stats) { s.ExecsDeferred++ })
			return nil
		}
		p := t.create(k, time.Now())
		t.look(p)
		t.buildTables(p)
		return p
	case bpf.NoticeUnknownProcess:
		if p := t.find(k); p == nil {
			p = t.create(k, time.Time{})
			t.look(p)
			return p
		} else if p.looked {
			_ = t.publish(p)
		} else {
			t.look(p)
		}
	case bpf.NoticeUnknownMapping:
		if p := t.find(k); p != nil {
			t.rescan(p, n.Addr)
		}
	case bpf.NoticeWantTable:
		t.wantTable(n.Executable)
	case bpf.NoticeExit:
		if p := t.find(k); p != nil {
			t.exit(p)
		}
	}
	return nil
}

// limiter allows a number of events a second, and a burst of them.
type limiter struct {
	rate, burst float64
	spent       float64 // of the burst
	last        time.Time
}

func (l *limiter) allow(now time.Time) bool {
	l.spent = max(0, l.spent-now.Sub(l.last).Seconds()*l.rate)
	l.last = now
	if l.spent+1 > l.burst {
		return false
	}
	l.spent++
	return true
}
