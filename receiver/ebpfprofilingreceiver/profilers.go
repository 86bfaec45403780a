package ebpfprofilingreceiver

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.uber.org/zap"

	"github.com/aperture-collector/aperture-collector/bpf"
	"github.com/aperture-collector/aperture-collector/internal/procinfo"
	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/symbol"
	"github.com/aperture-collector/aperture-collector/internal/tracker"
	"github.com/aperture-collector/aperture-collector/internal/unwind"
)

// profilers are the parts of a host's profile that hold resources.
type profilers struct {
	host    *bpf.Host
	symbols *symbol.Cache
	tracker *tracker.Tracker
	table   *stackTable

	cpu     *bpf.CPU
	offCPU  *bpf.OffCPU
	lock    *bpf.Lock
	syscall *bpf.Syscall
	running map[string]bpf.Profile

	// mu guards what starts and stops sampling: the end of it does not wait for the
	// loop, which may be busy with earlier samples. The loop alone changes running.
	mu      sync.Mutex
	stopped bool // for good
}

// chunkBytes is the memory of 65536 rows of unwind tables.
const chunkBytes = 4 * unwind.ChunkRows

// openHost opens what all profiles share.
func openHost(cfg *Config) (*profilers, error) {
	targets, err := procinfo.Compile(cfg.Targets)
	if err != nil {
		return nil, err
	}
	p := &profilers{running: make(map[string]bpf.Profile)}
	// Notices and stacks come from the moment that the host is open.
	ready := make(chan struct{})
	opts := bpf.Options{
		MaxEntries: cfg.mapEntries(),
		MaxChunks:  int(max(1, cfg.MaxUnwindTableSize/chunkBytes)),
		Targeted:   targets != nil,
		OnStack:    func(s *bpf.Stack) { <-ready; p.table.add(s) },
		OnNotice:   func(n bpf.Notice) { <-ready; p.tracker.Notify(n) },
	}
	if cfg.ExcludeSelf {
		opts.ExcludePID = os.Getpid()
	}
	if p.host, err = bpf.Open(opts); err != nil {
		return nil, err
	}
	p.symbols = symbol.NewCache(cfg.SymbolCacheSize)
	p.tracker = tracker.New(tracker.Options{
		Kernel: p.host, Symbols: p.symbols, Pool: unwind.NewPool(p.host.Memory(), p.host.PoolOptions()),
		Targets: targets, Cgroups: procinfo.NewCgroups(),
	})
	p.table = newStackTable(p.tracker)
	close(ready)
	return p, nil
}

// start starts one kind of profile.
func (p *profilers) start(kind string, cfg *Config) error {
	var err error
	var running bpf.Profile
	switch kind {
	case profile.KindCPU:
		p.cpu, err = p.host.StartCPU(cfg.SamplingFrequency)
		running = p.cpu
	case profile.KindOffCPU:
		p.offCPU, err = p.host.StartOffCPU(bpf.OffCPUOptions{MinDuration: cfg.OffCPUMinDuration})
		running = p.offCPU
	case profile.KindLock:
		p.lock, err = p.host.StartLock(bpf.LockOptions{MinDuration: cfg.LockMinDuration, User: true, Kernel: true})
		running = p.lock
	case profile.KindSyscall:
		p.syscall, err = p.host.StartSyscall(bpf.SyscallOptions{SlowThreshold: cfg.SyscallSlowThreshold})
		running = p.syscall
	}
	if err != nil {
		return fmt.Errorf("start %s profile: %w", kind, err)
	}
	p.running[kind] = running
	return nil
}

// incomplete tells why a profile that runs lacks a part, nil if it does not.
func (p *profilers) incomplete(kind string) error {
	switch {
	case kind == profile.KindLock && p.lock.Missing() != nil:
		return fmt.Errorf("start all of the lock profile: %w", p.lock.Missing())
	case kind == profile.KindOffCPU && p.offCPU.Sampled() != nil:
		return fmt.Errorf("start the exact off_cpu profile, which is an estimate now: %w", p.offCPU.Sampled())
	}
	return nil
}

// stop ends sampling for good; what was counted can still be collected. It is safe to
// call beside the loop.
func (p *profilers) stop() (err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stopped = true
	for _, r := range p.running {
		err = errors.Join(err, r.Stop())
	}
	return err
}

// follow has new processors sampled.
func (p *profilers) follow() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cpu == nil || p.stopped {
		return nil
	}
	return p.cpu.Follow()
}

func (p *profilers) close() (err error) {
	for _, r := range p.running {
		err = errors.Join(err, r.Close())
	}
	p.tracker.Close()
	err = errors.Join(err, p.host.Close())
	p.symbols.Close()
	return err
}

// startAll opens the host and starts all profiles of the configuration. What
// cannot run is reported and left out, unless it is required.
func (r *ebpfReceiver) startAll(host component.Host) error {
	p, err := openHost(r.cfg)
	if err != nil {
		for _, kind := range r.cfg.Profiles {
			r.tel.active(kind, reasonOf(err))
		}
		return r.unavailable(host, errors.New("eBPF profiling of this host is off"), err)
	}
	var failed error
	for _, kind := range kinds {
		if !r.cfg.takes(kind) {
			continue
		}
		err := p.start(kind, r.cfg)
		if kind == profile.KindCPU {
			// Samples are expected from now on: the other profiles take their time.
			r.tel.expect(readStat(), r.cfg.SamplingFrequency)
		}
		r.tel.active(kind, reasonOf(err))
		if err == nil {
			if err = p.incomplete(kind); err != nil {
				r.tel.incomplete(kind, reasonOf(err))
			}
		}
		if err != nil && r.cfg.Required {
			return errors.Join(err, p.close())
		}
		failed = errors.Join(failed, err)
	}
	if len(p.running) == 0 {
		return errors.Join(r.unavailable(host, errors.New("eBPF profiling of this host is off"), failed), p.close())
	}
	if failed != nil {
		what := "a part of the eBPF profiles of this host is off"
		missing := slices.DeleteFunc(slices.Clone(r.cfg.Profiles), func(kind string) bool { return p.running[kind] != nil })
		if len(missing) > 0 {
			what = fmt.Sprintf("eBPF profiles %v of this host are off", missing)
		}
		_ = r.unavailable(host, errors.New(what), failed)
	}
	r.profilers = p
	return nil
}

// reasonOf returns why a profile does not run, as a value of an attribute.
func reasonOf(err error) string {
	var u *bpf.UnavailableError
	switch {
	case err == nil:
		return ""
	case errors.As(err, &u):
		return u.Reason
	}
	return bpf.ReasonRefused
}

// unavailable reports, once, what there will not be.
func (r *ebpfReceiver) unavailable(host component.Host, what, err error) error {
	if r.cfg.Required {
		return fmt.Errorf("start profiles: %w", err)
	}
	r.log.Warn(what.Error(), zap.String("reason", reasonOf(err)), zap.Error(err))
	componentstatus.ReportStatus(host, componentstatus.NewRecoverableErrorEvent(fmt.Errorf("%w: %w", what, err)))
	return nil
}
