package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aperture-collector/aperture-collector/internal/profile"
)

// histograms of the time off the CPU by process, without stacks.
const switchTrace = `tracepoint:sched:sched_switch {
  @start[args->prev_pid] = nsecs;
  if (@start[args->next_pid]) { @off[pid] = hist(nsecs - @start[args->next_pid]); delete(@start[args->next_pid]) }
}
END { clear(@start) }`

// switches measures what the off_cpu profile adds to a switch between two threads
// which wait much shorter than the threshold.
func switches(ctx context.Context, b *bench) error {
	path, err := b.build("cost.c", "-O2")
	if err != nil {
		return err
	}
	none, _, _, err := cost(ctx, path, "pingpong")
	if err != nil {
		return err
	}
	peer := "not installed"
	if installed("bpftrace") {
		err := withBpftrace(ctx, switchTrace, func() (string, error) {
			ns, pids, _, err := cost(ctx, path, "pingpong")
			peer = fmt.Sprintf("bpftrace hist[pid]: +%.0f ns", ns-none)
			return fmt.Sprintf("@off[%d]", pids[len(pids)-1]), err
		})
		if err != nil {
			return err
		}
	}
	a, err := b.start(ctx, agentConfig{profiles: []string{profile.KindOffCPU}, frequency: 99, interval: time.Second})
	if err != nil {
		return err
	}
	before, err := a.metrics(ctx)
	if err != nil {
		return errors.Join(err, a.stop())
	}
	ns, _, operations, err := cost(ctx, path, "pingpong")
	after, metricsErr := a.metrics(ctx)
	if err := errors.Join(err, metricsErr, a.stop()); err != nil {
		return err
	}
	again, _, _, err := cost(ctx, path, "pingpong")
	if err != nil {
		return err
	}
	none = min(none, again)
	b.table.info("switch of threads without profiles", fmt.Sprintf("%.0f ns", none), "")
	b.table.add("switch of threads, only `off_cpu`, below 1 ms", "≤ +100 ns", fmt.Sprintf("%+.0f ns", ns-none), peer, ns-none <= 100)
	if runs := after.sum("bpf_runs", "profile", profile.KindOffCPU) - before.sum("bpf_runs", "profile", profile.KindOffCPU); runs < operations {
		return fmt.Errorf("the program ran %.0f times; there were at least %.0f switches", runs, operations)
	}
	return nil
}
