package main

import (
	"context"
	"fmt"

	"github.com/aperture-collector/aperture-collector/internal/corpus"
	"github.com/aperture-collector/aperture-collector/internal/flame"
	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// op is a query. It goes to the worker as it is.
type op struct {
	Name string
	Do   action
	Sel  profilestore.Selector
	// Rows bounds those of merges; By and Step are of series, and Step of heatmaps.
	Rows  int
	By    []string
	Step  int64
	Label string
	Limit int
	// Want is the digest of the answer.
	Want uint64
}

type action uint8

// What an op does. A flame graph is a merge and its tree.
const (
	flameGraph action = iota
	difference
	topFunctions
	series
	labelValues
	labelNames
	profileTypes
	profiles
	heatmap
	countEvents
)

// queries is what the worker asks: the store and what the API keeps beside it.
type queries struct {
	profilestore.Querier
	reader profilestore.Reader
	forest *flame.Forest
}

const forestSize = 64 << 20

func newQueries(s *store) *queries {
	return &queries{Querier: s.querier, reader: s, forest: flame.NewForest(forestSize, flame.Options{})}
}

// answer is what an op returns: one of the fields.
type answer struct {
	merges   []*profilestore.Merge
	total    int64 // of the tree
	top      []profilestore.TopFunctions
	series   []profilestore.Series
	texts    []string
	types    []profilestore.ProfileType
	profiles []profilestore.Profile
	heatmap  []profilestore.Heatmap
	count    uint64
}

func (q *queries) run(ctx context.Context, o *op) (a answer, err error) {
	switch o.Do {
	case flameGraph:
		return q.flameGraph(ctx, o)
	case difference:
		return q.difference(ctx, o)
	case topFunctions:
		a.top, err = q.TopFunctions(ctx, o.Sel, profilestore.TopOptions{Limit: o.Limit})
	case series:
		a.series, err = q.Series(ctx, o.Sel, profilestore.SeriesOptions{By: o.By, Step: o.Step})
	case labelValues:
		a.texts, err = q.LabelValues(ctx, o.Sel, o.Label, o.Limit)
	case labelNames:
		a.texts, err = q.LabelNames(ctx, o.Sel, o.Limit)
	case profileTypes:
		a.types, err = q.ProfileTypes(ctx, o.Sel)
	case profiles:
		a.profiles, err = q.Profiles(ctx, o.Sel, o.Limit)
	case heatmap:
		a.heatmap, err = q.Heatmap(ctx, o.Sel, o.Step, 0)
	case countEvents:
		a.count, err = q.reader.CountEvents(ctx, o.Sel)
	}
	return a, err
}

func (q *queries) flameGraph(ctx context.Context, o *op) (answer, error) {
	m, err := q.reader.MergeStacks(ctx, o.Sel, profilestore.MergeOptions{MaxStacks: o.Rows})
	if err != nil {
		return answer{}, err
	}
	if len(m.Kinds) != 1 {
		return answer{}, fmt.Errorf("merge has %d kinds instead of 1", len(m.Kinds))
	}
	tree := q.forest.Build(m, &m.Kinds[0])
	return answer{merges: []*profilestore.Merge{m}, total: tree.Total(0, 0)}, nil
}

// difference merges both halves of the time.
func (q *queries) difference(ctx context.Context, o *op) (a answer, err error) {
	before, after := halves(o.Sel)
	for _, sel := range []profilestore.Selector{before, after} {
		part := *o
		part.Sel = sel
		half, err := q.flameGraph(ctx, &part)
		if err != nil {
			return a, err
		}
		a.merges = append(a.merges, half.merges...)
		a.total += half.total
	}
	return a, nil
}

func halves(sel profilestore.Selector) (before, after profilestore.Selector) {
	before, after = sel, sel
	before.End = sel.Start + (sel.End-sel.Start)/2
	after.Start = before.End
	return before, after
}

const (
	second = int64(1e9)
	minute = 60 * second
	hour   = 60 * minute
	// rowsOfGraphs bounds flame graphs as the API does.
	rowsOfGraphs = 20_000
	topLimit     = 100
	listLimit    = 1000
)

// ops are all queries of the report, by name.
func (f *fleet) ops(hours int) []*op {
	day := f.start + int64(hours)*hour
	service := f.corpus.Service(f.one)
	sel := func(service string, start, end int64) profilestore.Selector {
		return profilestore.Selector{Tenant: profile.DefaultTenant, Service: service, Kinds: []string{corpus.KindCPU}, Start: start, End: end}
	}
	match := func(s profilestore.Selector, name string) profilestore.Selector {
		s.Matchers = []profilestore.Matcher{{Name: name, Value: f.label(f.one, f.pod, name)}}
		return s
	}
	one, all := sel(service, f.start, f.start+hour), sel("", f.start, f.start+hour)
	oneDay, allDay := sel(service, f.start, day), sel("", f.start, day)
	last := day - hour
	odd := sel(service, last+10*minute+7*second, last+50*minute+7*second)
	series1 := []string{podLabel}
	graph := func(name string, s profilestore.Selector) *op {
		return &op{Name: name, Do: flameGraph, Sel: s, Rows: rowsOfGraphs}
	}
	ops := []*op{
		graph("merge, 1 service, 1 h", one),
		graph("merge, 1 service, 24 h", oneDay),
		graph("merge, all services, 1 h", all),
		graph("merge, all services, 24 h", allDay),
		graph("filtered by one pod, 1 h", match(one, podLabel)),
		graph("filtered by one label, 1 h", match(one, "cloud.region")),
		graph("40 odd minutes", odd),
		{Name: "diff of two half hours", Do: difference, Sel: one, Rows: rowsOfGraphs},
		{Name: "top functions, 1 service", Do: topFunctions, Sel: one, Limit: topLimit},
		{Name: "top functions, all services", Do: topFunctions, Sel: all, Limit: topLimit},
		{Name: "series by pod, 1 h", Do: series, Sel: one, By: series1, Step: minute},
		{Name: "series of the fleet by pod, 24 h", Do: series, Sel: allDay, By: series1, Step: 5 * minute},
		{Name: "label values", Do: labelValues, Sel: one, Label: podLabel, Limit: listLimit},
		{Name: "label names", Do: labelNames, Sel: one, Limit: listLimit},
		{Name: "profile types", Do: profileTypes, Sel: one},
		{Name: "profiles, the newest 100", Do: profiles, Sel: one, Limit: 100},
		{Name: "heatmap, 1 h", Do: heatmap, Sel: one, Step: minute},
		{Name: "number of events, 24 h", Do: countEvents, Sel: oneDay},
	}
	return ops
}

const podLabel = "k8s.pod.name"
