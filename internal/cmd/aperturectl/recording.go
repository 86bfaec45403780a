package main

import (
	"context"
	"errors"
	"io"
	"math"
	"sync"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/collector/consumer/xconsumer"
	"go.opentelemetry.io/collector/pdata/pprofile"
	"go.opentelemetry.io/collector/receiver"
	"go.opentelemetry.io/collector/receiver/xreceiver"
	"go.opentelemetry.io/otel/metric/noop"
	tracenoop "go.opentelemetry.io/otel/trace/noop"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/aperture-collector/aperture-collector/bpf"
	"github.com/aperture-collector/aperture-collector/internal/aggregate"
	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
	"github.com/aperture-collector/aperture-collector/receiver/ebpfprofilingreceiver"
)

const (
	// recordInterval is how often the receiver hands over what it counted.
	recordInterval = time.Second
	// recordOverhead is the part of every processor that profiling may use. Who
	// profiles a host for a while wants samples more than a collector does.
	recordOverhead = 0.05
	// tableSize bounds the stacks that are kept, in bytes; rows refer to them.
	tableSize = 1 << 30
	// stopTimeout bounds the wait for the last samples.
	stopTimeout = 30 * time.Second
)

// recordTargets are the processes to profile; without any, all are.
type recordTargets struct {
	pids   []int
	cgroup string // a pattern
}

// recording is a receiver that profiles this host, and the sums of what it sent.
type recording struct {
	component.Host
	kind     string
	receiver xreceiver.Profiles

	mu     sync.Mutex
	window *aggregate.Window
	summed bool  // what comes later is too late
	err    error // of the receiver, or of what it sent
}

// startRecording starts the receiver of the collector in this process.
func (a *app) startRecording(kind string, frequency int, targets recordTargets) (*recording, error) {
	if missing := bpf.MissingCapabilities(bpf.CapBPF, bpf.CapPerfmon); len(missing) > 0 {
		return nil, failf("profiling needs root, or CAP_BPF and CAP_PERFMON: run it with sudo")
	}
	r := &recording{kind: kind, window: aggregate.NewTable(tableSize).NewWindow(24 * time.Hour)}
	next, err := xconsumer.NewProfiles(r.consume)
	if err != nil {
		return nil, err
	}
	factory := ebpfprofilingreceiver.NewFactory().(xreceiver.Factory)
	cfg := factory.CreateDefaultConfig().(*ebpfprofilingreceiver.Config)
	cfg.Profiles = []string{kind}
	cfg.SamplingFrequency = frequency
	cfg.Interval = recordInterval
	cfg.ExcludeSelf = true
	cfg.MaxOverhead = recordOverhead
	cfg.SyscallSlowThreshold = 0 // no stacks
	cfg.Targets.PIDs = targets.pids
	if targets.cgroup != "" {
		cfg.Targets.Cgroups = []string{targets.cgroup}
	}
	if err := cfg.Validate(); err != nil {
		return nil, usagef("%s", err)
	}
	r.receiver, err = factory.CreateProfiles(context.Background(), receiver.Settings{
		ID: component.NewID(factory.Type()),
		TelemetrySettings: component.TelemetrySettings{
			Logger: warnings(a.err), TracerProvider: tracenoop.NewTracerProvider(), MeterProvider: noop.NewMeterProvider(),
		},
	}, cfg, next)
	if err != nil {
		return nil, err
	}
	if err := r.receiver.Start(context.Background(), r); err != nil {
		var u *bpf.UnavailableError
		if errors.As(err, &u) {
			return nil, failf("this host cannot be profiled: %s", u.Detail)
		}
		return nil, failf("this host cannot be profiled: %s", err)
	}
	return r, nil
}

// warnings returns a logger that writes warnings and errors for people.
func warnings(out io.Writer) *zap.Logger {
	encoder := zapcore.NewConsoleEncoder(zapcore.EncoderConfig{MessageKey: "message", ConsoleSeparator: " "})
	return zap.New(zapcore.NewCore(encoder, zapcore.Lock(zapcore.AddSync(out)), zap.WarnLevel))
}

// GetExtensions implements component.Host: there are none.
func (r *recording) GetExtensions() map[component.ID]component.Component { return nil }

// Report implements componentstatus.Reporter.
func (r *recording) Report(e *componentstatus.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e.Err() != nil {
		r.err = e.Err()
	}
}

// consume adds what the receiver sends.
func (r *recording) consume(_ context.Context, pd pprofile.Profiles) error {
	groups, err := profile.Split(pd, 24*time.Hour, profile.Limits{})
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		r.err = err
		return err
	}
	if !r.summed {
		r.window.Add(groups)
	}
	return nil
}

// events returns the number of observations so far.
func (r *recording) events() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.window.Events()
}

// problem returns why nothing, or not everything, could be recorded.
func (r *recording) problem() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}

// stop ends the profile. After an error the last samples may be missing.
func (r *recording) stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	return r.receiver.Shutdown(ctx)
}

// sum sums up what was recorded.
func (r *recording) sum() (*profilestore.Merge, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.summed = true
	all := aggregate.NewRecent(24*time.Hour, math.MaxInt64)
	all.Add(r.window)
	return all.MergeStacks(context.Background(),
		profilestore.Selector{Tenant: profile.DefaultTenant, Kinds: []string{r.kind}},
		profilestore.MergeOptions{
			ByLock: r.kind == profile.KindLock, BySyscall: r.kind == profile.KindSyscall, MaxStacks: math.MaxInt32,
		})
}
