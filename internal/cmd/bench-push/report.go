package main

import (
	"fmt"
	"time"

	"github.com/aperture-collector/aperture-collector/internal/cmd/benchkit"
	"github.com/aperture-collector/aperture-collector/internal/cmd/benchkit/pushload"
)

// meter accounts for the collector and the ClickHouse that it started, from the
// end of the warm-up until everything is stored.
type meter struct {
	collector, clickhouse       int
	collectorCPU, clickhouseCPU time.Duration
	start                       time.Time
	pushing                     time.Duration
	events                      uint64 // acknowledged while measuring
}

type result struct {
	pushing                     time.Duration
	events                      uint64
	collectorCPU, clickhouseCPU time.Duration
	rss, clickhouseRSS          uint64
}

func acknowledged(agents []*pushload.Agent) (n uint64) {
	for _, a := range agents {
		n += a.Acknowledged.Load()
	}
	return n
}

// begin starts the measurement. The work on pushes that are on their way is
// counted, and they are counted when they are acknowledged.
func (m *meter) begin(agents []*pushload.Agent) error {
	var err error
	if m.clickhouse, err = benchkit.Child(m.collector); err != nil {
		return err
	}
	if m.collectorCPU, err = benchkit.CPU(m.collector); err != nil {
		return err
	}
	if m.clickhouseCPU, err = benchkit.CPU(m.clickhouse); err != nil {
		return err
	}
	m.start = time.Now()
	m.events = acknowledged(agents)
	return nil
}

// pushed marks the end of the load; what the collector does with it goes on.
func (m *meter) pushed(agents []*pushload.Agent) {
	m.pushing = time.Since(m.start)
	m.events = acknowledged(agents) - m.events
}

func (m *meter) stop() (*result, error) {
	r := &result{pushing: m.pushing, events: m.events}
	collectorCPU, err := benchkit.CPU(m.collector)
	if err != nil {
		return nil, err
	}
	clickhouseCPU, err := benchkit.CPU(m.clickhouse)
	if err != nil {
		return nil, err
	}
	r.collectorCPU, r.clickhouseCPU = collectorCPU-m.collectorCPU, clickhouseCPU-m.clickhouseCPU
	if r.rss, err = benchkit.PeakRSS(m.collector); err != nil {
		return nil, err
	}
	r.clickhouseRSS, err = benchkit.PeakRSS(m.clickhouse)
	return r, err
}

func report(o options, agents []*pushload.Agent, want *pushload.Expect, r *result, drain time.Duration) error {
	var pushes, refused, backpressure, bytes uint64
	for _, a := range agents {
		pushes, refused, backpressure, bytes = pushes+a.Pushes, refused+a.Refused, backpressure+a.Backpressure, bytes+a.Bytes
	}
	all, events := float64(want.Events()), float64(r.events)
	rate := events / r.collectorCPU.Seconds()
	rss := float64(r.rss) / (1 << 20)
	fmt.Println("machine:", benchkit.Machine())
	fmt.Printf("pushed: %d events (%d CPU samples, %d lock waits, %d system calls) in %d pushes of %d agents, %.0f bytes/event\n",
		want.Events(), want.CPU, want.Locks, want.Syscalls, pushes, len(agents), float64(bytes)/all)
	fmt.Printf("measured: %d events in %.1f s, after a warm-up of %s\n", r.events, r.pushing.Seconds(), o.warmup)
	fmt.Printf("refused and sent again: %d pushes; asked to slow down: %d\n", refused, backpressure)
	for _, a := range agents {
		if a.Refusal != nil {
			fmt.Println("a refusal:", a.Refusal)
			break
		}
	}
	fmt.Printf("rate with everything on one machine: %.0f events/s; stored %.1f s after the last push\n", events/r.pushing.Seconds(), drain.Seconds())
	fmt.Printf("collector: %.2f s CPU = %.0f events per CPU second, peak %.0f MB\n", r.collectorCPU.Seconds(), rate, rss)
	fmt.Printf("ClickHouse: %.2f s CPU = %.0f events per CPU second, peak %d MB\n", r.clickhouseCPU.Seconds(), events/r.clickhouseCPU.Seconds(), r.clickhouseRSS>>20)
	fmt.Println("checked: every acknowledged event and batch is there once")
	if rate < o.minRate {
		return fmt.Errorf("%.0f events per CPU second is below the limit of %.0f", rate, o.minRate)
	}
	if o.maxRSS > 0 && rss > o.maxRSS {
		return fmt.Errorf("peak memory of %.0f MB is above the limit of %.0f MB", rss, o.maxRSS)
	}
	return nil
}
