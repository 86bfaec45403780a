package ebpfprofilingreceiver

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
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

	cpu     *bpf.CPU
	kernel  *symbol.Kernel
	symbols *symbol.Cache
	table   *stackTable
	out     *deliverer

	sequence int64
	began    time.Time
	counts   []bpf.Count
	samples  []sample

	cancel context.CancelFunc
	stop   chan struct{}
	done   chan struct{}
	once   sync.Once
}

func newReceiver(cfg *Config, set receiver.Settings, next xconsumer.Profiles) (*ebpfReceiver, error) {
	tel, err := newTelemetry(set.TelemetrySettings, cfg.SamplingFrequency)
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

// Start loads the program and starts sampling. Where that is not possible it
// fails if the configuration requires BPF, and otherwise says so and does
// nothing.
func (r *ebpfReceiver) Start(_ context.Context, host component.Host) error {
	name, err := os.Hostname()
	if err != nil {
		return fmt.Errorf("read host name: %w", err)
	}
	r.host, r.agent = name, r.cfg.AgentID
	if r.agent == "" {
		r.agent = name
	}
	symbols := symbol.NewCache(r.cfg.SymbolCacheSize)
	table := newStackTable(symbols)
	opts := bpf.CPUOptions{Frequency: r.cfg.SamplingFrequency, MaxEntries: r.cfg.MaxMapEntries, OnStack: table.add}
	if r.cfg.ExcludeSelf {
		opts.ExcludePID = os.Getpid()
	}
	cpu, err := bpf.OpenCPU(opts)
	if err != nil {
		symbols.Close()
		return r.unavailable(host, err)
	}
	r.cpu, r.symbols, r.table = cpu, symbols, table
	kernel, kernelErr := symbol.NewKernel()
	r.kernel = kernel
	r.warnOfGaps(kernelErr)
	r.tel.active("")
	r.tel.expect(readLimited(statFile, 4096))
	r.began = time.Now()

	ctx, cancel := context.WithCancel(context.Background())
	r.cancel, r.stop, r.done = cancel, make(chan struct{}), make(chan struct{})
	r.out = newDeliverer(r.next, r.obs, r.log, r.tel.lost, r.tel.retried)
	go r.out.run(ctx)
	go r.loop(ctx)
	return nil
}

// stopTimeout bounds the wait for the pipeline at shutdown: the collector stops
// receivers first and sets no limit, and a pipeline whose store is away may not
// take the last batch.
const stopTimeout = 10 * time.Second

const statFile = "/proc/stat"

// unavailable reports, once, that there will be no profiles.
func (r *ebpfReceiver) unavailable(host component.Host, err error) error {
	reason := bpf.ReasonRefused
	var u *bpf.UnavailableError
	if errors.As(err, &u) {
		reason = u.Reason
	}
	r.tel.active(reason)
	if r.cfg.Required {
		return fmt.Errorf("start CPU profile: %w", err)
	}
	r.log.Warn("eBPF profiling of this host is off", zap.String("reason", reason), zap.Error(err))
	componentstatus.ReportStatus(host, componentstatus.NewRecoverableErrorEvent(
		fmt.Errorf("eBPF profiling of this host is off: %w", err)))
	return nil
}

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

// loop emits a batch every interval, and a last one when it is told to stop.
func (r *ebpfReceiver) loop(ctx context.Context) {
	defer close(r.done)
	ticker := time.NewTicker(r.cfg.Interval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			r.emit(ctx)
		case <-r.stop:
			r.cpu.Stop()
			r.emit(ctx)
			return
		}
	}
}

// emit takes what was counted since the last call and queues it as one batch.
func (r *ebpfReceiver) emit(ctx context.Context) {
	var err error
	r.counts, err = r.cpu.Collect(r.counts[:0])
	if err != nil {
		r.log.Error("cannot collect all samples", zap.Error(err))
	}
	start, end := r.began, time.Now()
	r.began = end
	wait, cancel := context.WithTimeout(ctx, min(symbolWait, r.cfg.Interval/2))
	_ = r.symbols.Wait(wait) // late tables only cost names
	cancel()

	var unknown uint64
	r.samples, unknown = r.table.take(r.counts, r.samples[:0])
	r.tel.lost("stack_unknown", int64(unknown))
	if len(r.samples) > 0 {
		r.queue(start, end)
	}
	clear(r.samples) // do not keep stacks alive
	if err := r.table.evict(r.cpu.Forget, unknown); err != nil {
		r.log.Error("cannot evict stacks", zap.Error(err))
	}
	r.kernel.Refresh()
	r.symbols.Trim()
	r.report()
}

func (r *ebpfReceiver) queue(start, end time.Time) {
	var events int64
	for _, s := range r.samples {
		events += int64(s.count)
	}
	r.sequence++
	pd, e := encode(r.samples, r.kernel, batchInfo{
		host: r.host, agent: r.agent, tenant: r.cfg.Tenant,
		sequence: r.sequence, events: events, start: start, end: end, frequency: r.cfg.SamplingFrequency,
	})
	r.tel.unnamed(e.unnamedKernel, e.unnamedUser)
	r.out.put(batch{pd: pd, samples: events, count: len(r.samples)})
}

func (r *ebpfReceiver) report() {
	stats, err := r.cpu.Stats()
	if err != nil {
		r.log.Error("cannot read counters", zap.Error(err))
		return
	}
	r.tel.kernel(stats)
	r.tel.expect(readLimited(statFile, 4096))
	r.tel.state(r.table.stats(), r.symbols)
}

// Shutdown emits what was counted since the last interval and waits until the
// pipeline has taken or refused it, or ctx ends.
func (r *ebpfReceiver) Shutdown(ctx context.Context) error {
	if r.cpu == nil {
		return nil
	}
	var err error
	r.once.Do(func() {
		ctx, cancel := context.WithTimeout(ctx, stopTimeout)
		defer cancel()
		defer context.AfterFunc(ctx, r.cancel)()
		close(r.stop)
		<-r.done
		r.out.finish()
		<-r.out.done
		r.cancel()
		err = r.cpu.Close()
		r.table.close()
		r.symbols.Close()
	})
	if err != nil {
		return fmt.Errorf("stop CPU profile: %w", err)
	}
	return nil
}
