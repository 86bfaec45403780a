package chunkreader

import (
	"context"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/ClickHouse/ch-go/proto"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chconn"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/chunktest"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/chunkwriter"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/schema"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/writer"
	"github.com/aperture-collector/aperture-collector/internal/clickhousetest"
	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// seriesFixture is a store of its own with a window of an hour from start on.
type seriesFixture struct {
	*testing.T
	pool   *chconn.Pool
	tables schema.Options
	writer *chunkwriter.Writer
	source *chunktest.Source
	start  int64
}

func newSeriesFixture(t *testing.T) *seriesFixture {
	pool, o := chunktest.Open(t)
	f := &seriesFixture{
		T: t, pool: pool, tables: o, writer: chunkwriter.New(pool, writer.Options{Tables: o, KnownEntries: 1 << 12}),
		source: chunktest.NewSource(7), start: time.Date(2026, 1, 5, 10, 0, 0, 0, time.UTC).UnixNano(),
	}
	require.NoError(t, f.writer.Write(t.Context(), f.source.Window(f.start, int64(time.Minute), 60)))
	return f
}

// write stores a window with one series of service-0.
func (f *seriesFixture) write(labels ...profile.Label) {
	id, _ := profile.LabelsID(labels, nil)
	win := f.source.Window(f.start, int64(time.Minute), 20)
	for _, g := range win.Groups.Groups {
		g.Series = &profile.Series{Tenant: "anonymous", Service: "service-0", Labels: labels, ID: id}
	}
	require.NoError(f, f.writer.Write(f.Context(), win))
}

// TestSeriesAreRemembered asks the same again, before and after there are new series.
func TestSeriesAreRemembered(t *testing.T) {
	f := newSeriesFixture(t)
	pool, o, start := f.pool, f.tables, f.start

	var mu sync.Mutex
	var asked []string
	options := newReader(pool, o, 1<<20).opts
	options.OnQuery = func(_ context.Context, name string, _ time.Duration, _ error) {
		mu.Lock()
		defer mu.Unlock()
		asked = append(asked, name)
	}
	r := New(pool, options)
	sel := profilestore.Selector{Tenant: "anonymous", Service: "service-0", Start: start, End: start + int64(time.Hour)}
	pods := sel
	pods.Matchers = []profilestore.Matcher{{Name: "k8s.pod.name", Op: profilestore.MatchRegexp, Value: "pod-.*[02468]"}}
	by := profilestore.SeriesOptions{By: []string{"k8s.pod.name"}}
	ask := func(r *Reader) (uint64, []profilestore.Series) {
		asked = nil
		var n uint64
		m, err := r.MergeStacks(t.Context(), pods, profilestore.MergeOptions{MaxStacks: 1000})
		require.NoError(t, err)
		for _, k := range m.Kinds {
			n += k.Events
		}
		series, err := r.Series(t.Context(), sel, by)
		require.NoError(t, err)
		return n, series
	}
	var seen []string
	for i := range 3 {
		first, series := ask(r)
		assert.Greater(t, len(asked), 2, asked)
		again, same := ask(r)
		assert.Equal(t, []string{"merge", "series"}, asked)
		fresh, want := ask(New(pool, options))
		assert.Equal(t, []uint64{fresh, fresh}, []uint64{first, again})
		assert.Equal(t, [][]profilestore.Series{want, want}, [][]profilestore.Series{series, same})

		seen = append(seen, "pod-new-"+strconv.Itoa(i))
		f.write(profile.Label{Name: "k8s.pod.name", Value: seen[i]})
	}
	_, series := ask(r)
	for _, pod := range seen {
		assert.True(t, slices.ContainsFunc(series, func(s profilestore.Series) bool { return s.Labels[0] == pod }), pod)
	}
}

func TestSeriesMemoryIsBounded(t *testing.T) {
	var m seriesMemory
	many := make(map[proto.UInt128]string)
	for i := range uint64(maxRemembered) {
		many[proto.UInt128{Low: i}] = isSelected
	}
	for i := range 1000 {
		m.put(strconv.Itoa(i), many)
		require.LessOrEqual(t, m.bytes, maxMemoryBytes)
		require.NotNil(t, m.get(strconv.Itoa(i)))
	}
	held := m.bytes
	m.put("999", many)
	assert.Equal(t, held, m.bytes, "an answer takes the place of the one before")
	many[proto.UInt128{High: 1}] = ""
	m.put("more", many)
	assert.Nil(t, m.get("more"))
}

// TestGroupsList: lists of other names have other keys.
func TestGroupsList(t *testing.T) {
	seen := make(map[string][]string)
	for _, by := range [][]string{{"ab"}, {"a", "b"}, {"a\x00b"}, {"a\x00", "b"}, {"a", "\x00b"}, {"", "ab"}, {"\x01b"}} {
		key := groupsList(by)
		assert.Nil(t, seen[key], "%q", by)
		seen[key] = by
	}
}

// TestFewOfManySeries selects one series of a service that has more than are
// remembered, and more than a result may have rows.
func TestFewOfManySeries(t *testing.T) {
	f := newSeriesFixture(t)
	pool, o, start := f.pool, f.tables, f.start
	sel := profilestore.Selector{
		Tenant: "anonymous", Service: "service-0", Start: start, End: start + int64(time.Hour),
		Matchers: []profilestore.Matcher{{Name: "k8s.pod.name", Value: "pod-1"}},
	}
	want, err := newReader(pool, o, 1<<20).CountEvents(t.Context(), sel)
	require.NoError(t, err)
	require.Positive(t, want)
	clickhousetest.Exec(t, clickhousetest.Start(t), "INSERT INTO "+o.Table("series")+" (tenant, service, series, labels, last_seen)"+
		" SELECT 'anonymous', 'service-0', number, map('k8s.pod.name', toString(number)), now() FROM numbers("+strconv.Itoa(2*maxRemembered)+")")
	for _, rows := range []int64{500, 1 << 20} {
		options := newReader(pool, o, 1<<20).opts
		options.MaxRows = rows
		r := New(pool, options)
		for range 2 {
			got, err := r.CountEvents(t.Context(), sel)
			require.NoError(t, err)
			assert.Equal(t, want, got)
		}
		s, err := r.newScan(sel)
		require.NoError(t, err)
		assert.Nil(t, r.rememberedSeries(s))
		set, err := r.series(t.Context(), s)
		require.NoError(t, err)
		assert.Equal(t, 1, set.selected)
		assert.LessOrEqual(t, len(set.answer), maxRemembered+2)
	}
}
