package chaos

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"syscall"
	"time"
)

// injection is one fault while it is done.
type injection struct {
	*site
	rng *rand.Rand
	// reload lets a second load begin, for faults that end the first.
	reload func() error
	// note says what was drawn, for the line of the cycle.
	note []string
}

func (i *injection) log(format string, args ...any) {
	i.note = append(i.note, fmt.Sprintf(format, args...))
}

// wait sleeps for a random time between two.
func (i *injection) wait(ctx context.Context, least, most time.Duration) {
	d := least + time.Duration(i.rng.Int64N(int64(most-least)))
	i.log("%dms", d.Milliseconds())
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// do does the fault. What it ends stays so until [site.up].
func (i *injection) do(ctx context.Context, f Fault) error {
	switch f {
	case KillCollector:
		return i.endGateway(ctx, syscall.SIGKILL)
	case Terminate:
		return i.endGateway(ctx, syscall.SIGTERM)
	case KillClickHouse:
		return i.killClickHouse(ctx)
	case KillBoth:
		return i.killBoth(ctx)
	case PauseClickHouse:
		return i.pause(ctx)
	case CutConnection:
		// The proxy draws from its own, in goroutines of its own.
		i.proxy.cut(rand.New(rand.NewPCG(i.rng.Uint64(), 0)), mostBytes)
		i.wait(ctx, time.Second, 2*time.Second)
		i.log("%d cuts", i.proxy.heal())
		return nil
	case RestartWithoutStore:
		return i.restartWithoutStore(ctx)
	case FullDisk:
		return i.fullDisk(ctx)
	}
	return fmt.Errorf("inject fault: there is no %q", f)
}

// killClickHouse kills the server once or, while it starts again, twice.
func (i *injection) killClickHouse(ctx context.Context) error {
	for n := range 1 + i.rng.IntN(2) {
		if n > 0 {
			i.wait(ctx, 0, 500*time.Millisecond)
		}
		pid, err := i.waitClickHouse(ctx)
		if err != nil {
			return err
		}
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("kill ClickHouse: %w", err)
		}
	}
	return nil
}

func (i *injection) killBoth(ctx context.Context) error {
	pid, err := i.waitClickHouse(ctx)
	if err != nil {
		return err
	}
	if i.rng.IntN(2) == 0 {
		i.log("ClickHouse first")
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			return fmt.Errorf("kill ClickHouse: %w", err)
		}
		i.wait(ctx, 0, 100*time.Millisecond)
		return i.endGateway(ctx, syscall.SIGKILL)
	}
	if err := i.endGateway(ctx, syscall.SIGKILL); err != nil {
		return err
	}
	// It may have noticed that its parent is gone and ended.
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("kill ClickHouse: %w", err)
	}
	return nil
}

// pause stops the server for longer or shorter than an attempt to store takes,
// and sometimes ends the collector meanwhile.
func (i *injection) pause(ctx context.Context) error {
	pid, err := i.waitClickHouse(ctx)
	if err != nil {
		return err
	}
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		return fmt.Errorf("pause ClickHouse: %w", err)
	}
	i.wait(ctx, 500*time.Millisecond, 4500*time.Millisecond)
	if i.rng.IntN(3) == 0 {
		i.log("collector killed")
		if err := i.endGateway(ctx, syscall.SIGKILL); err != nil {
			return err
		}
	}
	if err := syscall.Kill(pid, syscall.SIGCONT); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("resume ClickHouse: %w", err)
	}
	return nil
}

// restartWithoutStore ends ClickHouse and then, when the queue holds data, the
// collector, which starts again and takes more while ClickHouse is still away.
func (i *injection) restartWithoutStore(ctx context.Context) error {
	if i.rng.IntN(2) == 0 {
		i.log("ClickHouse killed")
		pid, err := i.waitClickHouse(ctx)
		if err != nil {
			return err
		}
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			return fmt.Errorf("kill ClickHouse: %w", err)
		}
	}
	if err := i.stopServer(ctx); err != nil {
		return err
	}
	i.wait(ctx, 300*time.Millisecond, time.Second)
	sig := syscall.SIGTERM
	if i.rng.IntN(2) == 0 {
		sig = syscall.SIGKILL
	}
	i.log("%v", sig)
	if err := i.endGateway(ctx, sig); err != nil {
		return err
	}
	if err := i.startGateway(); err != nil {
		return err
	}
	if err := i.gateway.WaitTCP(ctx, i.push); err != nil {
		return err
	}
	if err := i.reload(); err != nil {
		return err
	}
	i.wait(ctx, 300*time.Millisecond, time.Second)
	size, err := i.queueSize(ctx)
	i.log("queue %.0f", size)
	return err
}

// fullDisk takes all room for some time and sometimes ends a process meanwhile.
func (i *injection) fullDisk(ctx context.Context) error {
	if err := fill(i.dir); err != nil {
		return err
	}
	defer func() { _ = free(i.dir) }()
	i.wait(ctx, 200*time.Millisecond, time.Second)
	if err := fill(i.dir); err != nil {
		return err
	}
	i.wait(ctx, 200*time.Millisecond, time.Second)
	switch i.rng.IntN(3) {
	case 0:
		i.log("collector killed")
		if err := i.endGateway(ctx, syscall.SIGKILL); err != nil {
			return err
		}
	case 1:
		i.log("ClickHouse killed")
		// It may have ended by itself: the disk is full.
		if pid, err := i.clickhouse(); err == nil {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		i.wait(ctx, 0, 500*time.Millisecond)
	}
	return free(i.dir)
}
