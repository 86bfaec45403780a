package chunkreader

import (
	"cmp"
	"context"
	"math/bits"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/chunktest"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/layout"
	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// totals sums the entries of a group.
func totals(g *profile.Group) (out [profile.MaxTypes]int64) {
	for i := range g.Entries {
		for j, v := range g.Entries[i].Values {
			out[j] += v
		}
	}
	return out
}

func (r *reference) series(sel profilestore.Selector, opts profilestore.SeriesOptions) []profilestore.Series {
	type at struct {
		kind, labels string
		step         int64
	}
	points := map[at]*profilestore.Point{}
	types := map[string][]profile.ValueType{}
	r.each(sel, func(g *profile.Group, _ *profile.Dictionary) {
		var labels []string
		for _, n := range opts.By {
			labels = append(labels, g.Series.Label(n))
		}
		k := at{kind: g.Kind, labels: strings.Join(labels, "|")}
		if opts.Step > 0 {
			k.step = g.Start / opts.Step * opts.Step
		}
		if points[k] == nil {
			points[k] = &profilestore.Point{Time: k.step}
		}
		p := points[k]
		for j, v := range totals(g) {
			p.Values[j] += v
		}
		p.Events += g.Events()
		p.Profiles++
		types[g.Kind] = g.Types
	})
	byKey := map[at]*profilestore.Series{}
	for k, p := range points {
		key := at{kind: k.kind, labels: k.labels}
		if byKey[key] == nil {
			byKey[key] = &profilestore.Series{Kind: k.kind, Types: types[k.kind]}
			if len(opts.By) > 0 {
				byKey[key].Labels = strings.Split(k.labels, "|")
			}
		}
		byKey[key].Points = append(byKey[key].Points, *p)
	}
	out := make([]profilestore.Series, 0, len(byKey))
	for _, s := range byKey {
		slices.SortFunc(s.Points, func(a, b profilestore.Point) int { return cmp.Compare(a.Time, b.Time) })
		out = append(out, *s)
	}
	slices.SortFunc(out, func(a, b profilestore.Series) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), slices.Compare(a.Labels, b.Labels))
	})
	return out
}

func (r *reference) profiles(sel profilestore.Selector) []profilestore.Profile {
	all := &newest{limit: 1 << 20}
	r.each(sel, func(g *profile.Group, _ *profile.Dictionary) {
		all.list = append(all.list, profilestore.Profile{
			Service: g.Series.Service, Kind: g.Kind, Types: g.Types, PeriodType: g.PeriodType, Period: g.Period,
			Series: g.Series.ID, Labels: g.Series.Labels, Time: g.Start, Duration: g.End - g.Start, Totals: totals(g), Events: g.Events(),
		})
	})
	return all.sorted()
}

func (r *reference) heatmap(sel profilestore.Selector, step int64, column int) map[string]map[int64][profilestore.HeatmapSizes]uint64 {
	out := map[string]map[int64][profilestore.HeatmapSizes]uint64{}
	r.each(sel, func(g *profile.Group, _ *profile.Dictionary) {
		if column >= len(g.Types) {
			return
		}
		if out[g.Kind] == nil {
			out[g.Kind] = map[int64][profilestore.HeatmapSizes]uint64{}
		}
		sizes := out[g.Kind][g.Start/step*step]
		sizes[bits.Len64(uint64(max(totals(g)[column], 0)))]++
		out[g.Kind][g.Start/step*step] = sizes
	})
	return out
}

// TestQuerierEqualsReference compares what needs no stacks with a computation of
// its own.
func TestQuerierEqualsReference(t *testing.T) {
	s := newStore(t)
	s.compact(t)
	ctx := t.Context()
	for _, buffer := range []int{0, 64 << 20} {
		r := newReader(s.pool, s.o, buffer)
		for name, sel := range selectors() {
			for _, opts := range []profilestore.SeriesOptions{
				{}, {Step: 10 * chunktest.Second}, {By: []string{"k8s.pod.name", "no.label"}, Step: layout.Hour}, {By: []string{"service.name"}},
			} {
				got, err := r.Series(ctx, sel, opts)
				require.NoError(t, err)
				require.ElementsMatch(t, s.series(sel, opts), got, name)
			}
			want := s.profiles(sel)
			for _, limit := range []int{10, 100_000} {
				got, err := r.Profiles(ctx, sel, limit)
				require.NoError(t, err)
				require.Len(t, got, min(limit, len(want)), name)
				if len(got) > 0 {
					require.Equal(t, want[:len(got)], got, name)
				}
			}
			for column := range 2 {
				maps := map[string]map[int64][profilestore.HeatmapSizes]uint64{}
				hs, err := r.Heatmap(ctx, sel, 60*chunktest.Second, column)
				require.NoError(t, err)
				for _, h := range hs {
					maps[h.Kind] = map[int64][profilestore.HeatmapSizes]uint64{}
					for _, st := range h.Steps {
						maps[h.Kind][st.Time] = st.Sizes
					}
				}
				require.Equal(t, s.heatmap(sel, 60*chunktest.Second, column), maps, name)
			}
		}
	}
}

func TestLabelsAndTypes(t *testing.T) {
	s := newStore(t)
	r := newReader(s.pool, s.o, 64<<20)
	ctx := t.Context()
	sel := profilestore.Selector{Tenant: "anonymous", Service: "service-1"}
	names, err := r.LabelNames(ctx, sel, 100)
	require.NoError(t, err)
	assert.Equal(t, []string{profile.AttrAgentID, "k8s.pod.name", "service.name"}, names)
	names, err = r.LabelNames(ctx, sel, 1)
	require.NoError(t, err)
	assert.Len(t, names, 1)
	values, err := r.LabelValues(ctx, sel, "k8s.pod.name", 100)
	require.NoError(t, err)
	assert.Equal(t, []string{"pod-0", "pod-1", "pod-2"}, values)
	agent := "agent-1"
	sel.AgentID = &agent
	values, err = r.LabelValues(ctx, sel, "k8s.pod.name", 100)
	require.NoError(t, err)
	assert.Equal(t, []string{"pod-1"}, values)
	values, err = r.LabelValues(ctx, sel, "no'label", 100)
	require.NoError(t, err)
	assert.Empty(t, values)

	for name, sel := range selectors() {
		// Types are those of whole hours.
		sel.Start = sel.Start / layout.Hour * layout.Hour
		sel.End = (sel.End + layout.Hour - 1) / layout.Hour * layout.Hour
		if len(sel.Matchers)+len(sel.Kinds) > 0 || sel.AgentID != nil && *sel.AgentID == "" {
			sel.End = 0
		}
		types, err := r.ProfileTypes(ctx, sel)
		require.NoError(t, err)
		want := map[string]bool{}
		s.each(sel, func(g *profile.Group, _ *profile.Dictionary) { want[g.Series.Service+" "+g.Kind] = true })
		got := map[string]bool{}
		for _, p := range types {
			got[p.Service+" "+p.Kind] = true
			assert.Equal(t, profile.ValueType{Type: "cpu", Unit: "nanoseconds"}, p.PeriodType)
		}
		assert.Equal(t, want, got, name)
	}
}

// TestInvalid: what makes no sense is refused.
func TestInvalid(t *testing.T) {
	pool, o := chunktest.Open(t)
	r := newReader(pool, o, 1<<20)
	ctx := t.Context()
	good := profilestore.Selector{Tenant: "anonymous"}
	for name, f := range map[string]func(profilestore.Selector) error{
		"merge": func(s profilestore.Selector) error {
			_, err := r.MergeStacks(ctx, s, profilestore.MergeOptions{})
			return err
		},
		"count":   func(s profilestore.Selector) error { _, err := r.CountEvents(ctx, s); return err },
		"batches": func(s profilestore.Selector) error { _, err := r.Batches(ctx, s, 1); return err },
		"series": func(s profilestore.Selector) error {
			_, err := r.Series(ctx, s, profilestore.SeriesOptions{})
			return err
		},
		"profiles": func(s profilestore.Selector) error { _, err := r.Profiles(ctx, s, 1); return err },
		"heatmap":  func(s profilestore.Selector) error { _, err := r.Heatmap(ctx, s, 1, 0); return err },
		"types":    func(s profilestore.Selector) error { _, err := r.ProfileTypes(ctx, s); return err },
		"names":    func(s profilestore.Selector) error { _, err := r.LabelNames(ctx, s, 1); return err },
		"values":   func(s profilestore.Selector) error { _, err := r.LabelValues(ctx, s, "a", 1); return err },
	} {
		require.NoError(t, f(good), name)
		require.ErrorIs(t, f(profilestore.Selector{}), profile.ErrInvalid, name)
		if name != "batches" {
			bad := good
			bad.Matchers = []profilestore.Matcher{{Name: "a", Value: "(", Op: profilestore.MatchRegexp}}
			require.ErrorIs(t, f(bad), profile.ErrInvalid, name)
		}
	}
	_, err := r.Series(ctx, good, profilestore.SeriesOptions{By: make([]string, profilestore.MaxBy+1)})
	require.ErrorIs(t, err, profile.ErrInvalid)
	_, err = r.Series(ctx, good, profilestore.SeriesOptions{Step: -1})
	require.ErrorIs(t, err, profile.ErrInvalid)
	_, err = r.Heatmap(ctx, good, 0, 0)
	require.ErrorIs(t, err, profile.ErrInvalid)
	_, err = r.Heatmap(ctx, good, 1, profile.MaxTypes)
	require.ErrorIs(t, err, profile.ErrInvalid)
}

// TestLimits: answers that would be too large are errors, and a caller who gives
// up is not waited for.
func TestLimits(t *testing.T) {
	s := newStore(t)
	r := newReader(s.pool, s.o, 64<<20)
	sel := profilestore.Selector{Tenant: "anonymous", Service: "service-0"}
	_, err := r.Series(t.Context(), sel, profilestore.SeriesOptions{Step: 1})
	require.ErrorIs(t, err, profilestore.ErrLimit)
	r.opts.MaxRows = 10
	for _, service := range []string{"", sel.Service} {
		sel.Service = service
		_, err = r.MergeStacks(t.Context(), sel, profilestore.MergeOptions{})
		require.ErrorIs(t, err, profilestore.ErrLimit, service)
	}
	r = newReader(s.pool, s.o, 0)
	r.opts.DeleteDelay = 1
	_, err = r.CountEvents(t.Context(), sel)
	require.ErrorIs(t, err, profilestore.ErrLimit)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = r.MergeStacks(ctx, sel, profilestore.MergeOptions{})
	require.ErrorIs(t, err, context.Canceled)
}
