package chunkreader

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/chunktest"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/layout"
	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// partKey is what sums by period are told apart by.
type partKey struct {
	kind         string
	period, step int64
}

// TestByPeriod: what has different periods is kept apart, in merges and in series
// whose steps begin at any time.
func TestByPeriod(t *testing.T) {
	s := newStore(t)
	s.compact(t)
	r := newReader(s.pool, s.o, 64<<20)
	const step, offset = 7 * chunktest.Second, 3*chunktest.Second + 1
	for name, sel := range selectors() {
		if slices.Contains([]string{"no such tenant", "nothing"}, name) {
			continue
		}
		merges, points := map[partKey][profile.MaxTypes]int64{}, map[partKey][profile.MaxTypes]int64{}
		s.each(sel, func(g *profile.Group, _ *profile.Dictionary) {
			add := func(to map[partKey][profile.MaxTypes]int64, key partKey) {
				sum := to[key]
				for i, v := range totals(g) {
					sum[i] += v
				}
				to[key] = sum
			}
			add(merges, partKey{g.Kind, g.Period, 0})
			add(points, partKey{g.Kind, g.Period, profile.Bucket(g.Start-offset, step)*step + offset})
		})
		m, err := r.MergeStacks(t.Context(), sel, profilestore.MergeOptions{ByPeriod: true})
		require.NoError(t, err, name)
		got := map[partKey][profile.MaxTypes]int64{}
		for _, k := range m.Kinds {
			got[partKey{k.Kind, k.Period, 0}] = k.Totals
		}
		require.Equal(t, merges, got, name)

		series, err := r.Series(t.Context(), sel, profilestore.SeriesOptions{Step: step, Offset: offset, ByPeriod: true})
		require.NoError(t, err, name)
		got = map[partKey][profile.MaxTypes]int64{}
		for _, one := range series {
			for _, p := range one.Points {
				got[partKey{one.Kind, one.Period, p.Time}] = p.Values
			}
		}
		require.Equal(t, points, got, name)
	}
	_, err := r.Series(t.Context(), profilestore.Selector{Tenant: "anonymous"}, profilestore.SeriesOptions{Offset: -1})
	require.ErrorIs(t, err, profile.ErrInvalid)
}

func TestPeriodType(t *testing.T) {
	s := newStore(t)
	r := newReader(s.pool, s.o, 64<<20)
	sel := profilestore.Selector{Tenant: "anonymous"}
	all, err := r.CountEvents(t.Context(), sel)
	require.NoError(t, err)
	sel.PeriodType = &profile.ValueType{Type: "cpu", Unit: "nanoseconds"}
	same, err := r.CountEvents(t.Context(), sel)
	require.NoError(t, err)
	assert.Equal(t, all, same)
	sel.PeriodType = &profile.ValueType{}
	none, err := r.CountEvents(t.Context(), sel)
	require.NoError(t, err)
	assert.Zero(t, none)
}

// TestLabelService: the service can be matched, listed and told apart like a label.
func TestLabelService(t *testing.T) {
	s := newStore(t)
	r := newReader(s.pool, s.o, 64<<20)
	sel := profilestore.Selector{Tenant: "anonymous", Matchers: []profilestore.Matcher{
		{Name: profilestore.LabelService, Value: "service-(0|2)", Op: profilestore.MatchRegexp},
		{Name: "k8s_pod_name", Or: []string{"pod", "k8s.pod.name"}, Value: "pod-1"},
	}}
	values, err := r.LabelValues(t.Context(), sel, profilestore.LabelService, 10)
	require.NoError(t, err)
	assert.Equal(t, []string{"service-0", "service-2"}, values)
	sets, err := r.LabelSets(t.Context(), sel, []string{"k8s.pod.name", profilestore.LabelService}, 10)
	require.NoError(t, err)
	assert.Equal(t, [][]string{{"pod-1", "service-0"}, {"pod-1", "service-2"}}, sets)
	series, err := r.Series(t.Context(), sel, profilestore.SeriesOptions{By: []string{profilestore.LabelService}})
	require.NoError(t, err)
	var services []string
	for _, one := range series {
		services = append(services, one.Labels...)
	}
	slices.Sort(services)
	assert.Equal(t, []string{"service-0", "service-2"}, slices.Compact(services))
}

// TestLabelsOfTime: labels are those of profiles of the time and kinds that are asked
// for.
func TestLabelsOfTime(t *testing.T) {
	s := newStore(t)
	s.compact(t)
	r := newReader(s.pool, s.o, 64<<20)
	const base = chunktest.Base
	for _, sel := range []profilestore.Selector{
		{Tenant: "anonymous", Start: base, End: base + layout.Hour},
		{Tenant: "anonymous", Service: "service-1", Kinds: []string{"queue"}},
		{Tenant: "anonymous", Kinds: []string{"memory"}, Start: base - layout.Hour, End: base},
		{Tenant: "anonymous", Start: base + 100*layout.Hour},
		{Tenant: "anonymous", Start: base, End: base},
	} {
		want := map[string]struct{}{}
		s.each(sel, func(g *profile.Group, _ *profile.Dictionary) {
			want[g.Series.Service+" "+g.Series.Label("k8s.pod.name")] = struct{}{}
		})
		got := map[string]struct{}{}
		sets, err := r.LabelSets(t.Context(), sel, []string{profilestore.LabelService, "k8s.pod.name"}, 100)
		require.NoError(t, err)
		for _, set := range sets {
			got[set[0]+" "+set[1]] = struct{}{}
		}
		assert.Equal(t, want, got)
		names, err := r.LabelNames(t.Context(), sel, 10)
		require.NoError(t, err)
		assert.Equal(t, len(want) > 0, len(names) > 0)
	}
}

func TestTimeRange(t *testing.T) {
	s := newStore(t)
	s.compact(t)
	r := newReader(s.pool, s.o, 64<<20)
	for name, sel := range selectors() {
		sel.Matchers, sel.AgentID = nil, nil
		sel.Start = sel.Start / layout.Hour * layout.Hour
		sel.End = (sel.End + layout.Hour - 1) / layout.Hour * layout.Hour
		var first, last int64
		s.each(sel, func(g *profile.Group, _ *profile.Dictionary) {
			if first == 0 || g.Start < first {
				first = g.Start
			}
			last = max(last, g.End)
		})
		lo, hi, err := r.TimeRange(t.Context(), sel)
		require.NoError(t, err, name)
		assert.Equal(t, []int64{first, last}, []int64{lo, hi}, name)
	}
	_, _, err := r.TimeRange(t.Context(), profilestore.Selector{})
	require.ErrorIs(t, err, profile.ErrInvalid)
}
