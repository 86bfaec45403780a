package ebpfprofilingreceiver

import (
	"context"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/aperture-collector/aperture-collector/bpf"
	"github.com/aperture-collector/aperture-collector/internal/symbol"
	"github.com/aperture-collector/aperture-collector/receiver/ebpfprofilingreceiver/internal/metadata"
)

// telemetry reports what happened since the last report.
type telemetry struct {
	tb        *metadata.TelemetryBuilder
	frequency int

	stats    bpf.CPUStats
	table    tableStats
	errors   map[string]int64
	busy     float64
	busyOK   bool
	fraction float64 // of an expected sample, not reported yet
}

func newTelemetry(set component.TelemetrySettings, frequency int) (*telemetry, error) {
	tb, err := metadata.NewTelemetryBuilder(set)
	if err != nil {
		return nil, err
	}
	return &telemetry{tb: tb, frequency: frequency}, nil
}

func because(reason string) metric.MeasurementOption {
	return metric.WithAttributeSet(attribute.NewSet(attribute.String("reason", reason)))
}

// active tells that the profile runs, or why it does not.
func (t *telemetry) active(reason string) {
	value := int64(0)
	if reason == "" {
		value = 1
	}
	t.tb.ReceiverEbpfProfilingActive.Record(context.Background(), value,
		metric.WithAttributes(attribute.String("profile", "cpu"), attribute.String("reason", reason)))
}

func (t *telemetry) lost(reason string, samples int64) {
	t.tb.ReceiverEbpfProfilingLostSamples.Add(context.Background(), samples, because(reason))
}

func (t *telemetry) retried() {
	t.tb.ReceiverEbpfProfilingRetries.Add(context.Background(), 1)
}

func (t *telemetry) unnamed(kernel, user int64) {
	kind := func(k string) metric.MeasurementOption {
		return metric.WithAttributeSet(attribute.NewSet(attribute.String("kind", k)))
	}
	t.tb.ReceiverEbpfProfilingUnnamedFrames.Add(context.Background(), kernel, kind("kernel"))
	t.tb.ReceiverEbpfProfilingUnnamedFrames.Add(context.Background(), user, kind("user"))
}

// kernel reports the counters of the program.
func (t *telemetry) kernel(now bpf.CPUStats) {
	ctx := context.Background()
	d := now.Sub(t.stats)
	t.stats = now
	of := func(c bpf.CPUCounter) int64 { return int64(d[c]) }
	t.tb.ReceiverEbpfProfilingSamples.Add(ctx, of(bpf.CPUSamples))
	t.tb.ReceiverEbpfProfilingStacks.Add(ctx, of(bpf.CPUStacks))
	t.tb.ReceiverEbpfProfilingRingFull.Add(ctx, of(bpf.CPURingFull))
	t.tb.ReceiverEbpfProfilingBpfRuns.Add(ctx, of(bpf.CPURuns))
	t.tb.ReceiverEbpfProfilingBpfTime.Add(ctx, of(bpf.CPURunNanos))
	t.lost("hash_full", of(bpf.CPUHashFull))
	t.lost("nested", of(bpf.CPUNested))
	skipped := t.tb.ReceiverEbpfProfilingSkippedTicks
	skipped.Add(ctx, of(bpf.CPUIdle), because("idle"))
	skipped.Add(ctx, of(bpf.CPUSkipped), because("excluded"))
	skipped.Add(ctx, of(bpf.CPUForeignPIDNS), because("foreign_pid_namespace"))
	incomplete := t.tb.ReceiverEbpfProfilingIncompleteSamples
	incomplete.Add(ctx, of(bpf.CPUKernelError), because("kernel_error"))
	incomplete.Add(ctx, of(bpf.CPUUserError), because("user_error"))
	incomplete.Add(ctx, of(bpf.CPUKernelTruncated), because("kernel_truncated"))
	incomplete.Add(ctx, of(bpf.CPUUserTruncated), because("user_truncated"))
}

// expect reports how many samples there should have been.
func (t *telemetry) expect(stat []byte) {
	busy, ok := busySeconds(stat)
	if ok && t.busyOK && busy >= t.busy {
		n := (busy-t.busy)*float64(t.frequency) + t.fraction
		t.tb.ReceiverEbpfProfilingExpectedSamples.Add(context.Background(), int64(n))
		t.fraction = n - float64(int64(n))
	}
	t.busy, t.busyOK = busy, ok
}

// state reports the stack table and the symbol cache.
func (t *telemetry) state(table tableStats, symbols *symbol.Cache) {
	ctx := context.Background()
	t.tb.ReceiverEbpfProfilingProcesses.Record(ctx, int64(table.processes))
	t.tb.ReceiverEbpfProfilingStackCacheSize.Record(ctx, table.bytes)
	t.tb.ReceiverEbpfProfilingUnresolvedFrames.Add(ctx, table.noProcess-t.table.noProcess, because("no_process"))
	t.tb.ReceiverEbpfProfilingUnresolvedFrames.Add(ctx, table.noMapping-t.table.noMapping, because("no_mapping"))
	t.table = table
	t.tb.ReceiverEbpfProfilingSymbolCacheSize.Record(ctx, symbols.Bytes())
	t.tb.ReceiverEbpfProfilingSymbolFiles.Record(ctx, int64(symbols.Files()))
	errs := symbols.Errors()
	for reason, n := range errs {
		t.tb.ReceiverEbpfProfilingSymbolErrors.Add(ctx, n-t.errors[reason], because(reason))
	}
	t.errors = errs
}
