package tracker

import (
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aperture-collector/aperture-collector/bpf"
	"github.com/aperture-collector/aperture-collector/internal/procinfo"
	"github.com/aperture-collector/aperture-collector/internal/symbol"
)

const (
	// maxProcesses bounds the processes that are known, with those that ended
	// lately.
	maxProcesses = 16384
	// keepEnded is for how many ticks a process that has ended is kept: stacks of
	// it may be on their way.
	keepEnded = 2
	// rescanBurst unknown addresses of a process are looked up at once, as a
	// program that has just begun maps its libraries; then rescansPerSecond.
	rescanBurst      = 32
	rescansPerSecond = 1
)

// Process is a program that a process runs, or ran. It is safe for concurrent
// use, and stays usable when the tracker has forgotten it.
type Process struct {
	// PID is as the collector's pid namespace numbers processes.
	PID uint32
	// Image tells apart the programs that one pid runs, see bpf.Image.
	Image uint64

	tracker *Tracker
	execed  time.Time // zero if it was not seen to begin
	// kthread and gone are true for kernel threads, and for what ended before it
	// was looked at. Both are set before others see the Process.
	kthread, gone bool

	// space is nil until mappings are needed, and if they cannot be seen.
	space atomic.Pointer[symbol.Space]

	// Guarded by Tracker.work:
	looked  bool
	rescans limiter

	// Guarded by Tracker.mu:
	mappings []bpf.Mapping // what the kernel knows
	uses     []uint16      // executables in them, each once
	target   bool
	ended    bool
	endedAt  uint64 // tick

	forgotten atomic.Bool
	info      details
}

// Gone reports whether the tracker has forgotten the process, some ticks after
// it ended: no more stacks of it are to be expected.
func (p *Process) Gone() bool { return p.forgotten.Load() }

// find returns a process that is known.
func (t *Tracker) find(k key) *Process {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.procs[k]
}

// create makes a process known, which is not yet. Of one that is gone already
// there will be nothing but its identity. execed is when it was seen to begin.
// work is held.
func (t *Tracker) create(k key, execed time.Time) *Process {
	p := &Process{
		PID: k.pid, Image: k.image, tracker: t, target: true, execed: execed,
		rescans: limiter{rate: rescansPerSecond, burst: rescanBurst},
	}
	stat, err := procinfo.ReadStat(k.pid)
	p.gone = err != nil || !stat.StartedAt(k.image) || t.outdated(k)
	p.kthread = !p.gone && stat.Kthread
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.procs) >= maxProcesses {
		t.stats.ProcessesRefused++
		p.gone = true
		p.forgotten.Store(true)
		return p
	}
	t.procs[k] = p
	if p.gone {
		p.ended, p.endedAt = true, t.tick
	} else {
		t.endLatest(p.PID)
		t.latest[p.PID] = p
	}
	return p
}

// look reads the mappings of a process for the first time and tells the kernel.
// work is held.
func (t *Tracker) look(p *Process) {
	if p.looked || p.gone || p.kthread {
		return
	}
	p.looked = true
	t.mu.RLock()
	ended := p.ended
	t.mu.RUnlock()
	if ended {
		return
	}
	t.readMappings(p)
	if t.opts.Targets != nil {
		info := p.readInfo()
		target := t.opts.Targets.Match(p.PID, &info, "")
		t.mu.Lock()
		p.target = target
		t.mu.Unlock()
	}
	_ = t.publish(p)
}

// refresh reads all mappings of a process anew and tells the kernel. It reports
// whether it did. work is held.
func (t *Tracker) refresh(p *Process) bool {
	t.mu.RLock()
	ended := p.ended
	t.mu.RUnlock()
	old := p.space.Load()
	if ended || old == nil || !t.readMappings(p) {
		return false
	}
	old.Close()
	_ = t.publish(p)
	return true
}

// readMappings reads all mappings of a process, and reports whether it could.
func (t *Tracker) readMappings(p *Process) bool {
	space := t.opts.Symbols.Space(int(p.PID))
	if space.Err() != nil && len(space.Mappings()) == 0 {
		space.Close() // it ended just now, or is not ours to see
		return false
	}
	p.space.Store(space)
	return true
}

// outdated reports whether the pid runs a later program by now.
func (t *Tracker) outdated(k key) bool {
	t.mu.RLock()
	defer t.mu.RUnlock()
	p := t.latest[k.pid]
	return p != nil && p.Image > k.image
}

// end marks what a pid ran until now as ended.
func (t *Tracker) end(pid uint32) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.endLatest(pid)
}

// endLatest is end with mu held.
func (t *Tracker) endLatest(pid uint32) {
	if p := t.latest[pid]; p != nil {
		p.ended, p.endedAt = true, t.tick
		delete(t.latest, pid)
	}
}

// exit marks a process as ended, and has the kernel forget it at once if its
// main thread was the last one. work is held.
func (t *Tracker) exit(p *Process) {
	last := threads(p.PID) <= 1
	t.mu.Lock()
	defer t.mu.Unlock()
	p.ended, p.endedAt = true, t.tick
	if last {
		t.unpublish(p)
		if t.latest[p.PID] == p {
			delete(t.latest, p.PID)
		}
	}
}

// unpublish has the kernel forget a process. mu is held.
func (t *Tracker) unpublish(p *Process) {
	if t.published[p.PID] != p {
		return
	}
	delete(t.published, p.PID)
	if err := t.opts.Kernel.DeleteProcess(p.PID); err != nil {
		t.stats.KernelErrors++
	}
}

// forget gives up what p holds. mu is held.
func (t *Tracker) forget(p *Process) {
	delete(t.procs, key{p.PID, p.Image})
	if t.latest[p.PID] == p {
		delete(t.latest, p.PID)
	}
	t.unpublish(p)
	t.executables.drop(p.uses, t.tick)
	p.uses, p.mappings = nil, nil
	if space := p.space.Load(); space != nil {
		space.Close()
	}
	p.forgotten.Store(true)
}

// threads returns the number of threads of a process, 0 if it is gone.
func threads(pid uint32) int {
	d, err := os.Open("/proc/" + strconv.FormatUint(uint64(pid), 10) + "/task")
	if err != nil {
		return 0
	}
	defer func() { _ = d.Close() }()
	names, _ := d.Readdirnames(2) // more than one is all that matters
	return len(names)
}

// details are read when they are needed, or when there is time.
type details struct {
	mu        sync.Mutex
	read      bool
	refreshed bool
	at        time.Time
	info      procinfo.Info
}

// settled is how old a program must be for what was read of it to be final:
// launchers change a process's cgroup and name shortly after exec.
const settled = 10 * time.Millisecond

// Info returns what is known of the process. comm and cgroup are the name and
// the cgroup id (as in bpf.Stack) of one of its threads: all there is to tell
// if it had ended before anyone could look at it.
func (p *Process) Info(comm string, cgroup uint64) procinfo.Info {
	p.readInfo()
	p.info.mu.Lock()
	defer p.info.mu.Unlock()
	d := &p.info
	if p.kthread {
		return procinfo.Read(p.PID, comm, true)
	}
	if !d.refreshed && !p.gone && !p.execed.IsZero() && d.at.Sub(p.execed) < settled {
		d.refreshed = true
		// A process that ends while it is read has lost its executable.
		if i := procinfo.Read(p.PID, comm, false); i.Path != "" && procinfo.Running(p.PID, p.Image) {
			d.info = i
		}
	}
	if d.info.Name == "" {
		d.info.Name = comm
	}
	if d.info.Service == "" {
		d.info.Service = d.info.Name
	}
	if c := p.tracker.opts.Cgroups; c != nil && len(d.info.Cgroups) == 0 {
		if path := c.Path(cgroup); path != "" {
			d.info.Cgroups, d.info.Container = []string{path}, procinfo.ContainerOf(path)
		}
	}
	return d.info
}

// readInfo reads the details, once.
func (p *Process) readInfo() procinfo.Info {
	p.info.mu.Lock()
	defer p.info.mu.Unlock()
	d := &p.info
	if d.read {
		return d.info
	}
	d.read = true
	if p.gone || !procinfo.Running(p.PID, p.Image) {
		return d.info
	}
	d.info, d.at = procinfo.Read(p.PID, "", false), time.Now()
	return d.info
}
