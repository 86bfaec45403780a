package ebpfprofilingreceiver

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer/xconsumer"
	"go.opentelemetry.io/collector/receiver"
	"go.opentelemetry.io/collector/receiver/receiverhelper"
	"go.uber.org/zap"

	"github.com/aperture-collector/aperture-collector/bpf"
	"github.com/aperture-collector/aperture-collector/internal/symbol"
)

// symbolWait bounds how long a batch waits for symbol tables that are being
// built; frames that have none by then stay unnamed in it.
const symbolWait = 2 * time.Second

// ebpfReceiver is the receiver. Its loop goroutine owns all that is not
// protected otherwise.
type ebpfReceiver struct {
	cfg  *Config
	log  *zap.Logger
	tel  *telemetry
	next xconsumer.Profiles
	obs  *receiverhelper.ObsReport

	host, agent string

	profilers *profilers // nil where nothing can run
	budget    *budget
	kernel    *symbol.Kernel
	out       *deliverer

	sequence int64
	began    time.Time
	reported time.Time
	counts   []bpf.Count
	calls    []bpf.SyscallCount
	samples  []sample

	cancel context.CancelFunc
	stop   chan struct{}
	done   chan struct{}
	once   sync.Once
}

func newReceiver(cfg *Config, set receiver.Settings, next xconsumer.Profiles) (*ebpfReceiver, error) {
	tel, err := newTelemetry(set.TelemetrySettings)
	if err != nil {
		return nil, fmt.Errorf("create telemetry: %w", err)
	}
	obs, err := receiverhelper.NewObsReport(receiverhelper.ObsReportSettings{
		ReceiverID: set.ID, Transport: "ebpf", LongLivedCtx: true, ReceiverCreateSettings: set,
	})
	if err != nil {
		return nil, fmt.Errorf("create telemetry: %w", err)
	}
	return &ebpfReceiver{cfg: cfg, log: set.Logger, tel: tel, next: next, obs: obs}, nil
}

// Start starts the profiles. Where one cannot run it fails if the configuration
// requires it, and otherwise says so and goes on without.
func (r *ebpfReceiver) Start(_ context.Context, host component.Host) error {
	name, err := os.Hostname()
	if err != nil {
		return fmt.Errorf("read host name: %w", err)
	}
	r.host, r.agent = name, r.cfg.AgentID
	if r.agent == "" {
		r.agent = name
	}
	r.began = time.Now()
	r.reported = r.began
	if err := r.startAll(host); err != nil || r.profilers == nil {
		return err
	}
	kernel, kernelErr := symbol.NewKernel()
	r.kernel = kernel
	r.warnOfGaps(kernelErr)
	r.budget = newBudget(r.cfg, r.profilers, r.log)

	ctx, cancel := context.WithCancel(context.Background())
	r.cancel, r.stop, r.done = cancel, make(chan struct{}), make(chan struct{})
	lost := func(reason string, samples int64) { r.tel.lost("all", reason, samples) }
	r.out = newDeliverer(r.next, r.obs, r.log, lost, r.tel.retried)
	go r.out.run(ctx)
	go r.loop(ctx)
	return nil
}

// stopTimeout bounds the wait for the pipeline at a shutdown without a deadline: the
// collector stops receivers first and sets none, and a pipeline whose store is away
// may not take the last batch.
const stopTimeout = 10 * time.Second

// stopGrace is how long the collecting of the last samples may take when there
// is no more time for it.
const stopGrace = time.Second

// warnOfGaps says, once, what will be missing from the profiles.
func (r *ebpfReceiver) warnOfGaps(kernelErr error) {
	var gaps []string
	if kernelErr != nil {
		gaps = append(gaps, "kernel functions have no names: "+kernelErr.Error())
	}
	if len(bpf.MissingCapabilities(bpf.CapSysPtrace)) > 0 {
		gaps = append(gaps, "functions of other users' processes have no names: CAP_SYS_PTRACE is missing")
	}
	if len(gaps) > 0 {
		r.log.Warn("eBPF profiling of this host has gaps", zap.String("gaps", strings.Join(gaps, "; ")))
	}
}

// loop emits a batch every interval, and a last one when sampling was stopped.
func (r *ebpfReceiver) loop(ctx context.Context) {
	defer close(r.done)
	// What this thread uses is part of the cost of profiling.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	ticker := time.NewTicker(r.cfg.Interval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			r.emit(ctx)
		case <-r.stop:
			r.emit(ctx)
			return
		}
	}
}

// emit takes what was counted since the last call and queues it as one batch.
func (r *ebpfReceiver) emit(ctx context.Context) {
	p, used := r.profilers, threadTime()
	r.collect()
	start, end := r.began, time.Now()
	r.began = end
	wait, cancel := context.WithTimeout(ctx, min(symbolWait, r.cfg.Interval/2))
	_ = p.symbols.Wait(wait) // late tables only cost names
	cancel()

	var unknown uint64
	r.samples, unknown = p.table.take(r.counts, r.samples[:0])
	r.samples = appendCalls(r.samples, r.calls, p.tracker)
	r.tel.lost("all", "stack_unknown", int64(unknown))
	if len(r.samples) > 0 {
		r.queue(start, end)
	}
	clear(r.samples) // do not keep stacks alive
	p.tracker.Tick()
	if err := p.table.evict(p.host.Forget, unknown); err != nil {
		r.log.Error("cannot evict stacks", zap.Error(err))
	}
	r.kernel.Refresh()
	p.symbols.Trim()
	r.report(used)
}

// collect takes the counts out of the kernel.
func (r *ebpfReceiver) collect() {
	p := r.profilers
	var err error
	if r.counts, err = p.host.Collect(r.counts[:0]); err != nil {
		r.log.Error("cannot collect all samples", zap.Error(err))
	}
	r.calls = r.calls[:0]
	if p.syscall != nil {
		if r.calls, err = p.syscall.Collect(r.calls); err != nil {
			r.log.Error("cannot collect all system calls", zap.Error(err))
		}
	}
	if err := p.follow(); err != nil {
		r.log.Error("cannot follow processors", zap.Error(err))
	}
}

func (r *ebpfReceiver) queue(start, end time.Time) {
	var events int64
	for _, s := range r.samples {
		events += int64(s.count)
	}
	r.sequence++
	info := batchInfo{
		host: r.host, agent: r.agent, tenant: r.cfg.Tenant,
		sequence: r.sequence, events: events, start: start, end: end, frequency: r.cfg.SamplingFrequency,
	}
	if cpu := r.profilers.cpu; cpu != nil {
		info.frequency = cpu.Frequency()
	}
	pd, e := encode(r.samples, r.kernel, info)
	r.tel.unnamed(e.unnamedKernel, e.unnamedUser)
	r.out.put(batch{pd: pd, samples: events, count: len(r.samples)})
}

// report reports what happened since the last call, and adjusts the rates to what
// it cost. used is the time of this thread before.
func (r *ebpfReceiver) report(used time.Duration) {
	p, now := r.profilers, time.Now()
	elapsed := now.Sub(r.reported) // not from batch to batch: the wait for symbols differs
	r.reported = now
	frequency := r.cfg.SamplingFrequency
	if p.cpu != nil {
		frequency = p.cpu.Frequency()
		r.tel.expect(readStat(), frequency)
	}
	costs := make(map[string]time.Duration, len(p.running))
	for kind, running := range p.running {
		stats, err := running.Stats()
		if err != nil {
			r.log.Error("cannot read counters", zap.String("profile", kind), zap.Error(err))
			continue
		}
		costs[kind] = r.tel.kernel(kind, stats)
	}
	if stats, err := p.host.Stats(); err != nil {
		r.log.Error("cannot read counters", zap.Error(err))
	} else {
		r.tel.followed(stats)
	}
	if r.tel.noticesLost() > 0 {
		p.tracker.Resync()
	}
	r.tel.state(p)
	state := r.budget.observe(costs, threadTime()-used, elapsed)
	r.tel.overhead(state, frequency)
	for kind, reason := range state.changed {
		if reason == "" {
			r.tel.restarted(kind)
		}
	}
}

// Shutdown ends sampling at once, emits what was counted since the last interval and
// waits until the pipeline has taken or refused it, or ctx ends. If by then the profiles are not
// even collected (a file that is read may be of a network that is away), it
// returns an error and frees nothing: what hangs still uses it.
func (r *ebpfReceiver) Shutdown(ctx context.Context) error {
	if r.profilers == nil {
		return nil
	}
	var err error
	r.once.Do(func() {
		if _, ok := ctx.Deadline(); !ok {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, stopTimeout)
			defer cancel()
		}
		if err := r.profilers.stop(); err != nil {
			r.log.Error("cannot stop all profiles", zap.Error(err))
		}
		defer context.AfterFunc(ctx, r.cancel)()
		close(r.stop)
		select {
		case <-r.done:
		case <-ctx.Done():
			select {
			case <-r.done: // it was told by its context as well
			case <-time.After(stopGrace):
				err = fmt.Errorf("collect the last samples: %w", context.Cause(ctx))
				return
			}
		}
		r.out.finish()
		<-r.out.done
		r.cancel()
		err = r.profilers.close()
	})
	if err != nil {
		return fmt.Errorf("stop profiles: %w", err)
	}
	return nil
}
