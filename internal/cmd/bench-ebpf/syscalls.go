package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/aperture-collector/aperture-collector/internal/profile"
)

// histograms of the latency of system calls by process and call, as the syscall
// profile has them.
const syscallTrace = `tracepoint:raw_syscalls:sys_enter { @start[tid] = nsecs }
tracepoint:raw_syscalls:sys_exit /@start[tid]/ { @latency[pid, args->id] = hist(nsecs - @start[tid]); delete(@start[tid]) }
END { clear(@start) }`

// syscalls measures what profiles add to a system call: to every one while the
// syscall profile is on, and to one that is no lock while the lock profile is on.
func syscalls(ctx context.Context, b *bench) error {
	path, err := b.build("cost.c", "-O2")
	if err != nil {
		return err
	}
	none, _, _, err := cost(ctx, path, "getppid")
	if err != nil {
		return err
	}
	peer := "not installed"
	if installed("bpftrace") {
		err := withBpftrace(ctx, syscallTrace, func() (string, error) {
			ns, pids, _, err := cost(ctx, path, "getppid")
			peer = fmt.Sprintf("bpftrace hist[pid, id]: +%.1f ns", ns-none)
			return fmt.Sprintf("@latency[%d, %d]", pids[len(pids)-1], unix.SYS_GETPPID), err
		})
		if err != nil {
			return err
		}
	}
	b.table.info("getppid without profiles", fmt.Sprintf("%.1f ns", none), "")
	return errors.Join(
		syscallCost(ctx, b, path, none, profile.KindSyscall, 100, peer),
		syscallCost(ctx, b, path, none, profile.KindLock, 15, ""),
	)
}

// syscallCost measures a call of getppid with one profile.
func syscallCost(ctx context.Context, b *bench, path string, none float64, kind string, limit float64, peer string) error {
	a, err := b.start(ctx, agentConfig{profiles: []string{kind}, frequency: 99, interval: time.Second})
	if err != nil {
		return err
	}
	ns, pids, operations, err := cost(ctx, path, "getppid")
	if err := errors.Join(err, a.stop()); err != nil {
		return err
	}
	again, _, _, err := cost(ctx, path, "getppid")
	if err != nil {
		return err
	}
	none = min(none, again)
	b.table.add("getppid, only `"+kind+"`", fmt.Sprintf("≤ +%.0f ns", limit), fmt.Sprintf("%+.1f ns", ns-none), peer, ns-none <= limit)
	if kind != profile.KindSyscall {
		return nil
	}
	for _, pid := range slices.Compact(pids) {
		var count uint64
		for _, o := range a.of(kind, pid) {
			if o.syscall == unix.SYS_GETPPID {
				count += o.count
			}
		}
		if float64(count) != operations {
			return fmt.Errorf("process %d called getppid %.0f times; the profile has %d", pid, operations, count)
		}
	}
	return nil
}
