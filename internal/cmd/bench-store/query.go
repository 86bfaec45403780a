package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/aperture-collector/aperture-collector/internal/chserver"
	"github.com/aperture-collector/aperture-collector/internal/cmd/benchkit"
	"github.com/aperture-collector/aperture-collector/internal/corpus"
	"github.com/aperture-collector/aperture-collector/internal/flame"
	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// hourConfig is one hour of one service, on a day of its own, with about a
// million samples of CPU time in 20,000 stacks.
func hourConfig() corpus.Config {
	return corpus.Config{
		Seed: 3, Services: 1, Pods: 120, Start: time.Date(2026, 1, 7, 12, 0, 0, 0, time.UTC),
		Duration: time.Hour, Samples: 360, Tail: 20_000, TailShare: 0.3,
	}
}

// latencies are those of one way to get a flame graph, sorted.
type latencies struct {
	name        string
	merge, tree []time.Duration
	// cpu is the mean CPU time of one flame graph, of ClickHouse and of this
	// process, which unlike the latency does not depend on what else the machine
	// does.
	cpu    benchkit.Usage
	stacks int
	nodes  int
}

// flameGraphs measures the merged CPU flame graph of a service.
type flameGraphs struct {
	endpoint   chserver.Endpoint
	cpu        func() (benchkit.Usage, error)
	service    string
	start, end time.Time
	// want is the total of the whole range.
	want int64
}

const (
	// targeted names the one that the limit of the median is about.
	targeted = "merge cached"

	mergeCacheSize = 64 << 20 // as the store has by default
	forestSize     = 64 << 20
	warmUps        = 5
	coldRepeats    = 10
)

// all measures it with and without what the caches know.
func (f *flameGraphs) all(ctx context.Context, repeat int) ([]*latencies, error) {
	whole := profilestore.Selector{
		Tenant: profile.DefaultTenant, Service: f.service, Kinds: []string{corpus.KindCPU},
		Start: f.start.UnixNano(), End: f.end.UnixNano(),
	}
	unaligned := whole
	unaligned.Start, unaligned.End = whole.Start+int64(time.Second), whole.End-int64(time.Second)
	cases := []struct {
		name       string
		sel        profilestore.Selector
		mergeCache int64
		cold       bool
	}{
		{"nothing cached", whole, mergeCacheSize, true},
		{"stacks cached, merge read again", whole, 0, false},
		{targeted, whole, mergeCacheSize, false},
		{"unaligned, stacks cached", unaligned, mergeCacheSize, false},
	}
	var out []*latencies
	for _, c := range cases {
		l := &latencies{name: c.name}
		runs, each := 1, repeat
		if c.cold {
			runs, each = min(coldRepeats, repeat), 1
		}
		for range runs {
			if err := f.measure(ctx, l, c.sel, c.mergeCache, each, c.cold); err != nil {
				return nil, fmt.Errorf("flame graph, %s: %w", c.name, err)
			}
		}
		l.cpu.Collector /= time.Duration(runs * each)
		l.cpu.ClickHouse /= time.Duration(runs * each)
		slices.Sort(l.merge)
		slices.Sort(l.tree)
		out = append(out, l)
	}
	return out, nil
}

// measure adds flame graphs of a store of its own to l.
func (f *flameGraphs) measure(ctx context.Context, l *latencies, sel profilestore.Selector, mergeCache int64, repeat int, cold bool) (err error) {
	st, err := openStore(ctx, f.endpoint, mergeCache)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, st.close(context.WithoutCancel(ctx))) }()
	want, err := f.total(ctx, st, sel)
	if err != nil {
		return err
	}
	forest := flame.NewForest(forestSize, flame.Options{})
	if !cold {
		for range warmUps {
			if err := new(latencies).add(ctx, st, forest, sel, want); err != nil {
				return err
			}
		}
	}
	before, err := f.cpu()
	if err != nil {
		return err
	}
	for range repeat {
		if err := l.add(ctx, st, forest, sel, want); err != nil {
			return err
		}
	}
	after, err := f.cpu()
	l.cpu.Collector += after.Collector - before.Collector
	l.cpu.ClickHouse += after.ClickHouse - before.ClickHouse
	return err
}

// total is what a flame graph must sum up to: of a part of the range, the number
// of its events, which another table has.
func (f *flameGraphs) total(ctx context.Context, r profilestore.Reader, sel profilestore.Selector) (int64, error) {
	if sel.Start == f.start.UnixNano() && sel.End == f.end.UnixNano() {
		return f.want, nil
	}
	n, err := r.CountEvents(ctx, sel)
	if err != nil {
		return 0, err
	}
	if n == 0 || int64(n) > f.want {
		return 0, fmt.Errorf("%d events in a part of %d", n, f.want)
	}
	return int64(n), nil
}

// add makes one flame graph and checks its total.
func (l *latencies) add(ctx context.Context, r profilestore.Reader, forest *flame.Forest, sel profilestore.Selector, want int64) error {
	begin := time.Now()
	m, err := r.MergeStacks(ctx, sel, profilestore.MergeOptions{MaxStacks: 10_000_000})
	if err != nil {
		return err
	}
	merged := time.Since(begin)
	if len(m.Kinds) != 1 {
		return fmt.Errorf("merge %s: it has %d kinds instead of 1", sel.Service, len(m.Kinds))
	}
	tree := forest.Build(m, &m.Kinds[0])
	total := time.Since(begin)
	if got := tree.Total(0, 0); got != want || m.Kinds[0].Totals[0] != want {
		return fmt.Errorf("merge %s: the flame graph has %d and the total is %d instead of %d", sel.Service, got, m.Kinds[0].Totals[0], want)
	}
	l.merge, l.tree = append(l.merge, merged), append(l.tree, total)
	l.stacks, l.nodes = len(m.Kinds[0].Rows), len(tree.Nodes)
	return nil
}

// total is the sum of one type of a service and kind.
func total(s *corpus.Sums, service, kind, typ string) (sum int64) {
	for k, v := range s.ByKey {
		if k.Service == service && k.Kind == kind && k.Type == typ {
			sum += v
		}
	}
	return sum
}
