package ebpfprofilingreceiver

import (
	"errors"
	"fmt"
	"runtime"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/aperture-collector/aperture-collector/bpf"
	"github.com/aperture-collector/aperture-collector/internal/overhead"
)

// settling is for how long after the start the cost is reported but nothing done
// about it: every stack is new then, and every table is being built.
const settling = 15 * time.Second

// budget keeps the cost of the profiles within max_overhead.
type budget struct {
	from      time.Time // when it begins to
	guard     *overhead.Guard
	profilers *profilers
	cfg       *Config
	log       *zap.Logger
	rates     overhead.Rates
	// configured are the rates that hold while there is room.
	configured overhead.Rates
}

// budgetState is what there is to report about the cost.
type budgetState struct {
	// overhead is the cost as a part of all processors.
	overhead float64
	// throttled has, by kind, the factor by which a rate is lower or a threshold
	// higher than configured, 0 for a profile that was switched off.
	throttled map[string]float64
	// changed are the profiles that were switched off, with the reason, or on
	// again, without.
	changed map[string]string
}

func newBudget(cfg *Config, p *profilers, log *zap.Logger) *budget {
	configured := overhead.Rates{
		CPUFrequency: cfg.SamplingFrequency, OffCPUMinDuration: cfg.OffCPUMinDuration, LockMinDuration: cfg.LockMinDuration,
	}
	return &budget{
		from:  time.Now().Add(settling),
		guard: overhead.New(cfg.MaxOverhead, runtime.NumCPU(), configured), profilers: p, cfg: cfg, log: log, rates: configured, configured: configured,
	}
}

// observe takes what the interval cost, in the kernel by kind and in user space,
// and sets the rates of the next one.
func (b *budget) observe(kernel map[string]time.Duration, user, elapsed time.Duration) budgetState {
	cost := overhead.Cost{Elapsed: elapsed, User: user}
	total := user
	for kind, name := range kinds {
		cost.Kernel[kind] = kernel[name]
		total += kernel[name]
	}
	d := overhead.Decision{Rates: b.rates}
	// An interval that was cut short, as after one that took too long, tells little.
	if time.Now().After(b.from) && elapsed >= b.cfg.Interval/2 {
		d = b.guard.Observe(cost)
	}
	state := budgetState{throttled: make(map[string]float64), changed: make(map[string]string)}
	if elapsed > 0 {
		state.overhead = float64(total) / float64(elapsed) / float64(runtime.NumCPU())
	}
	if d.Changed {
		// Once for each time that profiling begins to cost too much.
		level := zap.InfoLevel
		if b.rates == b.configured {
			level = zap.WarnLevel
		}
		b.log.Log(level, "the cost of profiling is adjusted", zap.String("reason", d.Reason))
		if err := b.apply(d.Rates, state.changed); err != nil {
			b.log.Error("cannot adjust the cost of profiling", zap.Error(err))
		}
	}
	for kind, name := range kinds {
		if b.profilers.running[name] != nil {
			state.throttled[name] = b.factor(bpf.Kind(kind))
		}
	}
	return state
}

// factor returns by how much a profile is throttled.
func (b *budget) factor(kind bpf.Kind) float64 {
	r := b.rates
	switch {
	case r.Off[kind]:
		return 0
	case kind == bpf.KindCPU && r.CPUFrequency > 0:
		return float64(b.cfg.SamplingFrequency) / float64(r.CPUFrequency)
	case kind == bpf.KindOffCPU && b.cfg.OffCPUMinDuration > 0:
		return float64(r.OffCPUMinDuration) / float64(b.cfg.OffCPUMinDuration)
	case kind == bpf.KindLock && b.cfg.LockMinDuration > 0:
		return float64(r.LockMinDuration) / float64(b.cfg.LockMinDuration)
	}
	return 1
}

// apply sets rates. It is called when everything was just collected, so that
// nothing is lost with a profile that is started anew.
func (b *budget) apply(r overhead.Rates, changed map[string]string) (err error) {
	p := b.profilers
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopped {
		return nil
	}
	for kind, name := range kinds {
		if p.running[name] == nil || r.Off[kind] == b.rates.Off[kind] {
			continue
		}
		if r.Off[kind] {
			changed[name] = "over_budget"
			err = errors.Join(err, p.running[name].Stop())
			continue
		}
		again := p.restart(name, b.cfg)
		changed[name] = reasonOf(again)
		err = errors.Join(err, again)
	}
	b.rates = r
	if p.cpu != nil && p.cpu.Frequency() != r.CPUFrequency {
		err = errors.Join(err, p.cpu.SetFrequency(r.CPUFrequency))
	}
	if p.offCPU != nil && !r.Off[bpf.KindOffCPU] {
		err = errors.Join(err, p.offCPU.SetMinDuration(r.OffCPUMinDuration))
	}
	if p.lock != nil && !r.Off[bpf.KindLock] {
		err = errors.Join(err, p.lock.SetMinDuration(r.LockMinDuration))
	}
	return err
}

// restart starts a profile again that was stopped. If it cannot, the profile is
// off for good.
func (p *profilers) restart(kind string, cfg *Config) error {
	stopped := p.running[kind]
	delete(p.running, kind)
	if err := stopped.Close(); err != nil {
		return fmt.Errorf("close %s profile: %w", kind, err)
	}
	return p.start(kind, cfg)
}

// threadTime returns the CPU time of the calling thread, to which the goroutine
// must be locked.
func threadTime() time.Duration {
	var ru unix.Rusage
	if unix.Getrusage(unix.RUSAGE_THREAD, &ru) != nil {
		return 0
	}
	return time.Duration(ru.Utime.Nano() + ru.Stime.Nano())
}
