package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"strconv"
	"time"

	"github.com/aperture-collector/aperture-collector/internal/cmd/benchkit"
	"github.com/aperture-collector/aperture-collector/internal/ebpftest/fixtures"
	"github.com/aperture-collector/aperture-collector/internal/profile"
)

// accounts compares the samples of a process, from its start to its end, with its
// CPU time.
func accounts(ctx context.Context, b *bench) error {
	path, err := b.build("burn.c", fixtures.NoFramePointers...)
	if err != nil {
		return err
	}
	const frequency = 99
	a, err := b.start(ctx, agentConfig{profiles: []string{profile.KindCPU}, frequency: frequency, interval: time.Second})
	if err != nil {
		return err
	}
	p, err := fixtures.Start(path, []string{strconv.Itoa(runtime.NumCPU()), strconv.Itoa(burnDepth)}, nil)
	if err != nil {
		return errors.Join(err, a.stop())
	}
	sleepErr := benchkit.Sleep(ctx, b.duration)
	report, err := p.Stop()
	m, metricsErr := a.metrics(ctx)
	if err := errors.Join(sleepErr, err, metricsErr, a.stop()); err != nil {
		return err
	}
	var samples int64
	for _, o := range a.of(profile.KindCPU, p.PID()) {
		samples += o.value
	}
	lost := m.sum("lost_samples", "profile", profile.KindCPU)
	expected := report.CPUSeconds * frequency
	off := 100 * ((float64(samples)+lost)/expected - 1)
	b.table.add("samples and losses next to CPU seconds × frequency", "within 2 %",
		fmt.Sprintf("%+.2f %% (%d samples, %.0f lost, %.0f expected)", off, samples, lost, expected), "", math.Abs(off) <= 2)
	return nil
}
