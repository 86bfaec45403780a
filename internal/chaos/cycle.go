package chaos

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Time limits of the parts of a cycle, for machines that are busy.
const (
	faultTimeout   = time.Minute
	recoverTimeout = 2 * time.Minute
)

// cycle runs one cycle. What it returns beside the result ends the run.
func (r *runner) cycle(ctx context.Context, number int) (result Result, err error) {
	start := time.Now()
	result = Result{Cycle: number, Fault: plan(r.Seed, r.Faults, number)}
	defer func() { result.Took = time.Since(start) }()
	err = r.attach(ctx, result.Fault.site())
	if errors.Is(err, errNoMount) {
		result.Skipped = err.Error()
		return result, nil
	}
	if err != nil {
		return result, err
	}
	result.Err = r.shake(ctx, &result)
	if !result.Failed() || ctx.Err() != nil {
		return result, nil
	}
	result.Kept, err = r.keep(ctx, number)
	return result, err
}

// shake loads the site, does the fault, waits for recovery and checks.
func (r *runner) shake(ctx context.Context, result *Result) error {
	s := r.site
	ctx, cancel := context.WithTimeout(ctx, faultTimeout+recoverTimeout)
	defer cancel()
	if err := s.up(ctx); err != nil {
		return err
	}
	rng := random(r.Seed, result.Cycle)
	prefix := fmt.Sprintf("c%d", result.Cycle)
	isNew := func(agent string) bool { return strings.HasPrefix(agent, prefix+".") }
	var loads []*load
	begin := func() error {
		l, err := startLoad(s, fmt.Sprintf("%s.%d", prefix, len(loads)), rng.Uint64())
		if err == nil {
			loads = append(loads, l)
		}
		return err
	}
	i := injection{site: s, rng: rng, reload: begin}
	err := begin()
	if err == nil {
		err = waitAcknowledged(ctx, s.ledger, isNew)
	}
	if err == nil {
		i.wait(ctx, 0, 1200*time.Millisecond)
		err = i.do(ctx, result.Fault)
	}
	if err == nil {
		// The load goes on for a moment, then the answers to what is under way come
		// in while the site recovers.
		i.wait(ctx, 0, 400*time.Millisecond)
		stopped := make(chan error)
		go func() { stopped <- stopAll(loads) }()
		err = s.up(ctx)
		err = errors.Join(err, <-stopped)
	} else {
		err = errors.Join(err, stopAll(loads))
	}
	result.note = strings.Join(i.note, ", ")
	if err != nil {
		return err
	}
	recovered := time.Now()
	if err := s.drain(ctx); err != nil {
		return err
	}
	d, counts, err := s.check(ctx, isNew)
	result.check = time.Since(recovered)
	result.Counts = counts
	result.Differences = append(d, s.ledger.takeFaulty()...)
	return err
}

// waitAcknowledged waits for the first answer, so that every cycle has something
// to lose.
func waitAcknowledged(ctx context.Context, l *ledger, isNew func(agent string) bool) error {
	for {
		if l.acknowledged(isNew) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for the first acknowledgement: %w", ctx.Err())
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func stopAll(loads []*load) error {
	var errs []error
	for _, l := range loads {
		errs = append(errs, l.stop())
	}
	return errors.Join(errs...)
}

// keep ends the current site, moves its data aside and begins with none.
func (r *runner) keep(ctx context.Context, number int) (string, error) {
	s := r.site
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	// That it does not end nicely either is no surprise.
	_ = r.detach(ctx)
	to := filepath.Join(r.Dir, fmt.Sprintf("failed-%d-%d", r.Seed, number))
	if err := s.keep(to); err != nil {
		return "", err
	}
	if s.kind == smallDisk {
		r.small = nil
		return to, unmount(r.smalls())
	}
	r.ledger = newLedger()
	return to, os.MkdirAll(r.shared(), 0o700)
}
