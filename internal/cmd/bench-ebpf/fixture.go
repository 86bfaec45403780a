package main

import (
	"context"
	"fmt"
	"os"

	"github.com/aperture-collector/aperture-collector/internal/ebpftest/fixtures"
)

// build compiles a ground truth program.
func (b *bench) build(name string, flags ...string) (string, error) {
	dir, err := os.MkdirTemp(b.dir, "build-")
	if err != nil {
		return "", err
	}
	return fixtures.Build(dir, name, flags...)
}

// runToEnd runs a program whose work has an end, and returns its report and process
// id.
func runToEnd(ctx context.Context, path string, args ...string) (fixtures.Report, int, error) {
	p, err := fixtures.Start(path, args, nil)
	if err != nil {
		return fixtures.Report{}, 0, err
	}
	select {
	case <-p.Done():
	case <-ctx.Done():
	}
	r, err := p.Stop()
	return r, p.PID(), err
}

// cost returns the CPU nanoseconds that one operation of cost.c takes, the minimum
// of three runs, and the process ids and number of operations of the runs.
func cost(ctx context.Context, path, mode string) (best float64, pids []int, operations float64, err error) {
	for range 3 {
		r, pid, err := runToEnd(ctx, path, mode)
		if err != nil {
			return 0, nil, 0, err
		}
		if len(pids) == 0 || r.Counts["ns"] < best {
			best = r.Counts["ns"]
		}
		pids = append(pids, pid)
		operations = r.Counts["operations"]
		if operations == 0 {
			return 0, nil, 0, fmt.Errorf("%s %s made no operation", path, mode)
		}
	}
	return best, pids, operations, nil
}
