package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/aperture-collector/aperture-collector/internal/cmd/benchkit"
	"github.com/aperture-collector/aperture-collector/internal/ebpftest/fixtures"
	"github.com/aperture-collector/aperture-collector/internal/profile"
)

// locks compares the time that threads wait for locks with what they measure
// themselves.
func locks(ctx context.Context, b *bench) error {
	path, err := b.build("locks.c", fixtures.NoFramePointers...)
	if err != nil {
		return err
	}
	return errors.Join(
		waits(ctx, b, profile.KindLock, "user lock wait, mutex of 8 threads", path, "mutex", "8", "500"),
		waits(ctx, b, profile.KindLock, "user lock wait, mutex with priority inheritance", path, "pi", "4", "500"),
	)
}

// offCPU does the same for sleeps and waits for a pipe.
func offCPU(ctx context.Context, b *bench) error {
	path, err := b.build("blocked.c", fixtures.NoFramePointers...)
	if err != nil {
		return err
	}
	return errors.Join(
		waits(ctx, b, profile.KindOffCPU, "off-CPU time, nanosleep", path, "sleep", "5"),
		waits(ctx, b, profile.KindOffCPU, "off-CPU time, read of a pipe", path, "read", "5"),
	)
}

// waits runs a program while one profile is on and compares, for each function, what
// the profile and what the program say.
func waits(ctx context.Context, b *bench, kind, what, path string, args ...string) error {
	a, err := b.start(ctx, agentConfig{profiles: []string{kind}, frequency: 99, interval: time.Second})
	if err != nil {
		return err
	}
	// Once before, so that the agent knows the program and its libraries.
	err = warmUp(ctx, path, args)
	if err != nil {
		return errors.Join(err, a.stop())
	}
	p, err := fixtures.Start(path, args, nil)
	if err != nil {
		return errors.Join(err, a.stop())
	}
	sleepErr := benchkit.Sleep(ctx, b.duration/4)
	report, err := p.Stop()
	if err := errors.Join(sleepErr, err, a.stop()); err != nil {
		return err
	}
	found := a.of(kind, p.PID())
	for function, own := range report.Waits {
		var ns int64
		var count uint64
		for _, o := range found {
			if o.below(function) {
				ns += o.value
				count += o.count
			}
		}
		off := 100 * (float64(ns)/float64(own.TotalNS) - 1)
		b.table.add(what+", `"+function+"`", "within 2 %", fmt.Sprintf("%+.2f %% of %.1f ms in %d waits (seen: %d)",
			off, float64(own.TotalNS)/1e6, own.Count, count), "", math.Abs(off) <= 2)
	}
	return nil
}

// warmUp runs a program for a second.
func warmUp(ctx context.Context, path string, args []string) error {
	p, err := fixtures.Start(path, args, nil)
	if err != nil {
		return err
	}
	sleepErr := benchkit.Sleep(ctx, time.Second)
	_, err = p.Stop()
	return errors.Join(sleepErr, err)
}
