package benchkit

import (
	"context"
	"time"
)

// Usage is the CPU time of a collector and of its ClickHouse.
type Usage struct{ Collector, ClickHouse time.Duration }

// UsageOf returns what two processes have used so far, see [CPU].
func UsageOf(collector, clickhouse int) (u Usage, err error) {
	if u.Collector, err = CPU(collector); err != nil {
		return u, err
	}
	u.ClickHouse, err = CPU(clickhouse)
	return u, err
}

// Total is the CPU time of both.
func (u Usage) Total() time.Duration { return u.Collector + u.ClickHouse }

// Plus returns the sum of both.
func (u Usage) Plus(v Usage) Usage {
	return Usage{u.Collector + v.Collector, u.ClickHouse + v.ClickHouse}
}

// Minus returns what was used since v.
func (u Usage) Minus(v Usage) Usage {
	return Usage{u.Collector - v.Collector, u.ClickHouse - v.ClickHouse}
}

// Percentile returns the value that p per cent of the sorted durations are below;
// there must be one.
func Percentile(sorted []time.Duration, p int) time.Duration {
	return sorted[min(len(sorted)*p/100, len(sorted)-1)]
}

// MS returns a duration in milliseconds, for reports.
func MS(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// Sleep waits, or returns the error of ctx.
func Sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
