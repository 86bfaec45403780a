package main

import (
	"context"
	"errors"
	"time"

	"github.com/aperture-collector/aperture-collector/internal/cmd/benchkit"
)

// at is what had been used at a time.
type at struct {
	time time.Time
	used benchkit.Usage
}

// idleFor is over how many seconds it is measured what both processes use when
// nothing is to be done.
const idleFor = 20

// untilCompacted waits until all rows have become those of closed hours, which is
// two minutes after the last of them was stored, and all stacks are in dictionaries,
// a minute later, and returns what that took, less
// what both processes use all the time.
func (b *bench) untilCompacted(ctx context.Context) (benchkit.Usage, error) {
	const (
		begun = "SELECT count() FROM system.parts WHERE active AND database = '" + database + "' AND table = 'chunks' AND startsWith(partition, '(2,')"
		left  = "SELECT count() FROM " + database + ".chunks WHERE level < 2 AND id NOT IN (SELECT arrayJoin(covers) FROM " + database + ".chunks WHERE level = 2)"
		log   = "SELECT count() FROM " + database + ".stacks"
	)
	ep := b.server.Endpoint()
	var seen []at // until it begins
	for {
		used, err := benchkit.UsageOf(b.worker.pid(), b.server.PID())
		if err != nil {
			return used, err
		}
		n, err := benchkit.QueryUint(ctx, ep, begun)
		if err != nil {
			return used, err
		}
		if n > 0 {
			break
		}
		seen = append(seen, at{time.Now(), used})
		if err := benchkit.Sleep(ctx, time.Second); err != nil {
			return used, err
		}
	}
	if len(seen) == 0 {
		return benchkit.Usage{}, errors.New("the hour was compacted before all of it was stored; the machine is too slow to measure that")
	}
	// The last second may have a part of it.
	last := seen[max(0, len(seen)-2)]
	for {
		n, err := benchkit.QueryUint(ctx, ep, left)
		if err != nil {
			return last.used, err
		}
		logged, err := benchkit.QueryUint(ctx, ep, log)
		if err != nil {
			return last.used, err
		}
		if n+logged == 0 {
			break
		}
		if err := benchkit.Sleep(ctx, 2*time.Second); err != nil {
			return last.used, err
		}
	}
	if err := settle(ctx, ep); err != nil {
		return last.used, err
	}
	used, err := benchkit.UsageOf(b.worker.pid(), b.server.PID())
	used = used.Minus(last.used)
	first := seen[max(0, len(seen)-2-idleFor)]
	if pause := last.time.Sub(first.time); pause > 0 {
		idle := last.used.Minus(first.used)
		share := float64(time.Since(last.time)) / float64(pause)
		used = used.Minus(benchkit.Usage{Collector: scaled(idle.Collector, share), ClickHouse: scaled(idle.ClickHouse, share)})
	}
	return used, err
}

func scaled(d time.Duration, by float64) time.Duration { return time.Duration(float64(d) * by) }
