package ebpfprofilingreceiver

import (
	"context"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/aperture-collector/aperture-collector/bpf"
	"github.com/aperture-collector/aperture-collector/internal/tracker"
	"github.com/aperture-collector/aperture-collector/receiver/ebpfprofilingreceiver/internal/metadata"
)

// telemetry reports what happened since the last report.
type telemetry struct {
	tb *metadata.TelemetryBuilder

	runs      map[string]bool      // profiles that did
	stats     map[string]bpf.Stats // by kind
	tracked   tracker.Stats
	following bpf.Stats
	errors    map[string]int64
	notices   uint64
	busy      float64
	busyOK    bool
	fraction  float64 // of an expected sample, not reported yet
}

func newTelemetry(set component.TelemetrySettings) (*telemetry, error) {
	tb, err := metadata.NewTelemetryBuilder(set)
	if err != nil {
		return nil, err
	}
	return &telemetry{tb: tb, runs: make(map[string]bool), stats: make(map[string]bpf.Stats)}, nil
}

// with returns the option for attributes, given as keys and values.
func with(kv ...string) metric.MeasurementOption {
	attrs := make([]attribute.KeyValue, 0, len(kv)/2)
	for i := 0; i < len(kv); i += 2 {
		attrs = append(attrs, attribute.String(kv[i], kv[i+1]))
	}
	return metric.WithAttributeSet(attribute.NewSet(attrs...))
}

// active tells that a profile runs, or why it does not (any more).
func (t *telemetry) active(kind, reason string) {
	record := func(value int64, reason string) {
		t.tb.ReceiverEbpfProfilingActive.Record(context.Background(), value, with("profile", kind, "reason", reason))
	}
	if reason == "" {
		t.runs[kind] = true
		record(1, "")
		return
	}
	if t.runs[kind] {
		record(0, "")
	}
	record(0, reason)
}

// incomplete tells that a profile runs without a part of it, and why.
func (t *telemetry) incomplete(kind, reason string) {
	t.tb.ReceiverEbpfProfilingActive.Record(context.Background(), 0, with("profile", kind, "reason", reason))
}

func (t *telemetry) lost(kind, reason string, samples int64) {
	t.tb.ReceiverEbpfProfilingLostSamples.Add(context.Background(), samples, with("profile", kind, "reason", reason))
}

func (t *telemetry) retried() {
	t.tb.ReceiverEbpfProfilingRetries.Add(context.Background(), 1)
}

func (t *telemetry) unnamed(kernel, user int64) {
	t.tb.ReceiverEbpfProfilingUnnamedFrames.Add(context.Background(), kernel, with("kind", "kernel"))
	t.tb.ReceiverEbpfProfilingUnnamedFrames.Add(context.Background(), user, with("kind", "user"))
}

// skipped, lost and incomplete samples by the counters of the programs.
var (
	skippedBy = map[bpf.Counter]string{
		bpf.Idle: "idle", bpf.Skipped: "excluded", bpf.Filtered: "filtered",
		bpf.ForeignPIDNS: "foreign_pid_namespace", bpf.Below: "below_threshold", bpf.ForeignABI: "foreign_abi",
	}
	lostBy = map[bpf.Counter]string{
		bpf.Nested: "nested", bpf.HashFull: "hash_full", bpf.NoStorage: "no_storage", bpf.NoWork: "no_work",
	}
	incompleteBy = map[bpf.Counter]string{bpf.KernelError: "kernel_error", bpf.KernelTruncated: "kernel_truncated"}
)

// kernel reports the counters of a profile's programs. It returns the time that
// they took since the last report.
func (t *telemetry) kernel(kind string, now bpf.Stats) time.Duration {
	ctx := context.Background()
	d := now.Sub(t.stats[kind])
	t.stats[kind] = now
	of := func(c bpf.Counter) int64 { return int64(d[c]) }
	profile := with("profile", kind)
	t.tb.ReceiverEbpfProfilingSamples.Add(ctx, of(bpf.Samples), profile)
	t.tb.ReceiverEbpfProfilingStacks.Add(ctx, of(bpf.Stacks), profile)
	t.tb.ReceiverEbpfProfilingRingFull.Add(ctx, of(bpf.RingFull), profile)
	t.tb.ReceiverEbpfProfilingBpfRuns.Add(ctx, of(bpf.Runs), profile)
	t.tb.ReceiverEbpfProfilingBpfTime.Add(ctx, of(bpf.RunNanos), profile)
	t.tb.ReceiverEbpfProfilingUserFrames.Add(ctx, of(bpf.Frames), profile)
	t.lostNotices(d[bpf.NoticesLost])
	for c, reason := range lostBy {
		t.lost(kind, reason, of(c))
	}
	for c, reason := range skippedBy {
		t.tb.ReceiverEbpfProfilingSkippedEvents.Add(ctx, of(c), with("profile", kind, "reason", reason))
	}
	for c, reason := range incompleteBy {
		t.tb.ReceiverEbpfProfilingIncompleteSamples.Add(ctx, of(c), with("profile", kind, "reason", reason))
	}
	for end, name := range bpf.Ends {
		if n := int64(d.Ended(end)); n > 0 {
			t.tb.ReceiverEbpfProfilingUserStacks.Add(ctx, n, with("profile", kind, "end", name))
		}
	}
	return time.Duration(of(bpf.RunNanos))
}

// followed reports the counters of the programs that follow processes.
func (t *telemetry) followed(now bpf.Stats) {
	t.lostNotices(now[bpf.NoticesLost] - t.following[bpf.NoticesLost])
	t.following = now
}

func (t *telemetry) lostNotices(n uint64) {
	t.tb.ReceiverEbpfProfilingNoticesLost.Add(context.Background(), int64(n))
	t.notices += n
}

// restarted forgets the counters of a profile that was started anew.
func (t *telemetry) restarted(kind string) { delete(t.stats, kind) }

// noticesLost returns how many notices were lost since the last call.
func (t *telemetry) noticesLost() uint64 {
	n := t.notices
	t.notices = 0
	return n
}

// expect reports how many CPU samples there should have been.
func (t *telemetry) expect(stat []byte, frequency int) {
	busy, ok := busySeconds(stat)
	if ok && t.busyOK && busy >= t.busy {
		n := (busy-t.busy)*float64(frequency) + t.fraction
		t.tb.ReceiverEbpfProfilingExpectedSamples.Add(context.Background(), int64(n))
		t.fraction = n - float64(int64(n))
	}
	t.busy, t.busyOK = busy, ok
}

// state reports what user space knows of processes, stacks and executables.
func (t *telemetry) state(p *profilers) {
	ctx := context.Background()
	now, was := p.tracker.Stats(), t.tracked
	t.tb.ReceiverEbpfProfilingProcesses.Record(ctx, int64(now.Processes))
	t.tb.ReceiverEbpfProfilingStackCacheSize.Record(ctx, p.table.size())
	unresolved := t.tb.ReceiverEbpfProfilingUnresolvedFrames
	unresolved.Add(ctx, now.NoProcess-was.NoProcess, with("reason", "no_process"))
	unresolved.Add(ctx, now.NoMapping-was.NoMapping, with("reason", "no_mapping"))
	unresolved.Add(ctx, now.NoExecutable-was.NoExecutable, with("reason", "no_executable"))
	t.tb.ReceiverEbpfProfilingNoticesLost.Add(ctx, now.NoticesDropped-was.NoticesDropped)
	t.tb.ReceiverEbpfProfilingUnwindTables.Record(ctx, int64(now.Tables))
	t.tb.ReceiverEbpfProfilingUnwindTableRows.Record(ctx, int64(now.Rows))
	t.tb.ReceiverEbpfProfilingUnwindTableSize.Record(ctx, int64(now.Bytes))
	t.tb.ReceiverEbpfProfilingUnwindTablesRefused.Add(ctx, now.TablesRefused-was.TablesRefused)
	refused := t.tb.ReceiverEbpfProfilingRefused
	refused.Add(ctx, now.ProcessesRefused-was.ProcessesRefused, with("reason", "process"))
	refused.Add(ctx, now.ExecutablesRefused-was.ExecutablesRefused, with("reason", "executable"))
	refused.Add(ctx, now.MappingsDropped-was.MappingsDropped, with("reason", "mapping"))
	refused.Add(ctx, now.KernelErrors-was.KernelErrors, with("reason", "kernel"))
	for reason, n := range now.BuildErrors {
		t.tb.ReceiverEbpfProfilingUnwindTableErrors.Add(ctx, n-was.BuildErrors[reason], with("reason", reason))
	}
	t.tracked = now
	t.tb.ReceiverEbpfProfilingSymbolCacheSize.Record(ctx, p.symbols.Bytes())
	t.tb.ReceiverEbpfProfilingSymbolFiles.Record(ctx, int64(p.symbols.Files()))
	errs := p.symbols.Errors()
	for reason, n := range errs {
		t.tb.ReceiverEbpfProfilingSymbolErrors.Add(ctx, n-t.errors[reason], with("reason", reason))
	}
	t.errors = errs
}

// overhead reports what the budget found.
func (t *telemetry) overhead(o budgetState, frequency int) {
	ctx := context.Background()
	for kind, reason := range o.changed {
		t.active(kind, reason)
	}
	t.tb.ReceiverEbpfProfilingOverhead.Record(ctx, o.overhead)
	t.tb.ReceiverEbpfProfilingSamplingFrequency.Record(ctx, int64(frequency))
	for kind, factor := range o.throttled {
		t.tb.ReceiverEbpfProfilingThrottled.Record(ctx, factor, with("profile", kind))
	}
}
