package chunkreader

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/chunkrow"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/chunktest"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/layout"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/reader"
	"github.com/aperture-collector/aperture-collector/internal/chunk"
	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// sampleSums sums the samples of one text.
type sampleSums map[string][profile.MaxTypes + 1]int64

func (s sampleSums) add(key string, values [profile.MaxTypes]int64, count uint64) {
	sum := s[key]
	for i, v := range values {
		sum[i] += v
	}
	sum[profile.MaxTypes] += int64(count)
	s[key] = sum
}

// TestEachProfileEqualsReference takes everything apart again.
func TestEachProfileEqualsReference(t *testing.T) {
	s := newStore(t)
	s.compact(t)
	r := newReader(s.pool, s.o, 64<<20)
	for name, sel := range selectors() {
		want, got := sampleSums{}, sampleSums{}
		profiles := 0
		s.each(sel, func(g *profile.Group, d *profile.Dictionary) {
			profiles++
			for i := range g.Entries {
				e := &g.Entries[i]
				a := &d.Attributes[e.Attrs]
				want.add(fmt.Sprint(g.Series.Service, g.Kind, g.Series.Labels, g.Start, g.End-g.Start, d.StackIDs[e.Stack],
					a.LockAddress, a.Syscall, a.Bucket, a.Error), e.Values, e.Count)
			}
		})
		err := r.EachProfile(t.Context(), sel, func(p *profilestore.Profile, samples []profilestore.Sample) error {
			profiles--
			for i := range samples {
				x := &samples[i]
				got.add(fmt.Sprint(p.Service, p.Kind, p.Labels, p.Time, p.Duration, x.Stack.ID,
					x.LockAddress, x.Syscall, x.Bucket, x.Failed), x.Values, x.Count)
				if !x.Stack.ID.IsZero() && len(x.Stack.Frames) == 0 {
					return fmt.Errorf("stack %s has no frames", x.Stack.ID)
				}
			}
			return nil
		})
		require.NoError(t, err, name)
		require.Equal(t, want, got, name)
		require.Zero(t, profiles, name)
	}
	enough := errors.New("enough")
	n := 0
	err := r.EachProfile(t.Context(), profilestore.Selector{Tenant: "anonymous"}, func(*profilestore.Profile, []profilestore.Sample) error {
		n++
		return enough
	})
	require.ErrorIs(t, err, enough)
	require.Equal(t, 1, n)
}

// withExemplars stores a copy of a row with an exemplar for each entry.
func withExemplars(t *testing.T, s *store) (row *chunkrow.Row, want []chunk.Exemplar) {
	t.Helper()
	for _, r := range chunktest.ReadRows(t, s.pool, s.o, chunkrow.All) {
		if r.Tenant == "anonymous" && (row == nil || r.Profiles > row.Profiles) {
			row = r
		}
	}
	row.ID++
	c, err := row.Chunk()
	require.NoError(t, err)
	var b chunk.Builder
	require.NoError(t, b.Reset(c.Types()))
	var cr chunk.Reader
	require.NoError(t, cr.Profiles(c, nil, func(i int, entries []chunk.Entry) error {
		p := c.Profile(i)
		if err := b.Add(p, entries); err != nil {
			return err
		}
		n := byte(len(want))
		x := chunk.Exemplar{Time: p.Time + int64(n), Value: int64(n), SpanID: [8]byte{n}, TraceID: [16]byte{n / 2}}
		want = append(want, x)
		return b.AddExemplar(entries[0].Index, x)
	}))
	entries, series := make([]uint32, c.Entries()), make([]uint32, len(row.SeriesIDs))
	for i := range entries {
		entries[i] = uint32(i)
	}
	for i := range series {
		series[i] = uint32(i)
	}
	built, err := b.Build(entries, series)
	require.NoError(t, err)
	row.Columns = *built.Columns()
	insert(t, s.pool, s.o, row)
	return row, want
}

func TestExemplars(t *testing.T) {
	s := newStore(t)
	row, want := withExemplars(t, s)
	require.Greater(t, len(want), 1)
	r := newReader(s.pool, s.o, 64<<20)
	sel := profilestore.Selector{Tenant: "anonymous"}
	got, err := r.Exemplars(t.Context(), sel, profilestore.ExemplarOptions{Limit: 1000})
	require.NoError(t, err)
	require.Len(t, got, len(want))
	for i, x := range got {
		if i > 0 {
			assert.LessOrEqual(t, x.Time, got[i-1].Time, "newest first")
		}
		w := want[x.Value]
		assert.Equal(t, w.Time, x.Time)
		assert.Equal(t, w.SpanID, x.SpanID)
		assert.Equal(t, w.TraceID, x.TraceID)
		assert.Equal(t, row.Service, x.Service)
		assert.NotEmpty(t, x.Labels)
		assert.True(t, x.Stack.ID.IsZero() || len(x.Stack.Frames) > 0)
	}
	some, err := r.Exemplars(t.Context(), sel, profilestore.ExemplarOptions{Limit: 1})
	require.NoError(t, err)
	assert.Equal(t, got[:1], some)
	some, err = r.Exemplars(t.Context(), sel, profilestore.ExemplarOptions{Limit: 9, SpanIDs: [][8]byte{{1}, {99}}})
	require.NoError(t, err)
	require.Len(t, some, 1)
	assert.Equal(t, [8]byte{1}, some[0].SpanID)
	sel.Start = got[0].Time + layout.Hour
	some, err = r.Exemplars(t.Context(), sel, profilestore.ExemplarOptions{Limit: 9})
	require.NoError(t, err)
	assert.Empty(t, some)
	_, err = r.Exemplars(t.Context(), sel, profilestore.ExemplarOptions{Limit: 9, SpanIDs: make([][8]byte, profilestore.MaxIDs+1)})
	require.ErrorIs(t, err, profile.ErrInvalid)
}

func TestLabelSets(t *testing.T) {
	s := newStore(t)
	r := newReader(s.pool, s.o, 64<<20)
	sel := profilestore.Selector{Tenant: "anonymous", Service: "service-1"}
	sets, err := r.LabelSets(t.Context(), sel, []string{"k8s.pod.name", "no.label"}, 10)
	require.NoError(t, err)
	assert.Equal(t, [][]string{{"pod-0", ""}, {"pod-1", ""}, {"pod-2", ""}}, sets)
	sets, err = r.LabelSets(t.Context(), sel, []string{"k8s.pod.name"}, 1)
	require.NoError(t, err)
	assert.Len(t, sets, 1)
	_, err = r.LabelSets(t.Context(), sel, make([]string, profilestore.MaxNames+1), 1)
	require.ErrorIs(t, err, profile.ErrInvalid)
}

// TestTenantLimits: a tenant's queries are bound by its own limits, and wait for
// each other, while others go on.
func TestTenantLimits(t *testing.T) {
	s := newStore(t)
	r := newReader(s.pool, s.o, 64<<20)
	o := r.opts.Options
	o.Limits = func(tenant string) reader.Limits {
		if tenant == "anonymous" {
			return reader.Limits{MaxRows: 10, MaxConcurrent: 1, MaxExecutionTime: 200 * time.Millisecond}
		}
		return reader.Limits{}
	}
	r = New(s.pool, Options{Options: o, DeleteDelay: time.Hour, BufferBytes: 64 << 20})
	ctx := t.Context()
	sel := profilestore.Selector{Tenant: "anonymous"}
	_, err := r.CountEvents(ctx, sel)
	require.ErrorIs(t, err, profilestore.ErrLimit)
	_, leave, err := r.base.Admit(ctx, sel.Tenant)
	require.NoError(t, err)
	_, err = r.LabelNames(ctx, sel, 5)
	require.ErrorIs(t, err, profilestore.ErrBusy)
	assert.ErrorContains(t, err, "1 ")
	_, err = r.LabelNames(ctx, profilestore.Selector{Tenant: "other"}, 5)
	require.NoError(t, err)
	done := make(chan error, 1)
	go func() {
		_, err := r.LabelNames(ctx, sel, 5)
		done <- err
	}()
	leave()
	require.NoError(t, <-done)
	canceled, cancel := context.WithCancel(ctx)
	cancel()
	_, leave, err = r.base.Admit(ctx, sel.Tenant)
	require.NoError(t, err)
	defer leave()
	_, err = r.LabelNames(canceled, sel, 5)
	require.ErrorIs(t, err, context.Canceled)
}

// TestTrace: an operation is a step with its queries below.
func TestTrace(t *testing.T) {
	s := newStore(t)
	r := newReader(s.pool, s.o, 64<<20)
	ctx, trace := profilestore.WithTrace(t.Context(), "request")
	_, err := r.TopFunctions(ctx, profilestore.Selector{Tenant: "anonymous", Service: "service-1"}, profilestore.TopOptions{})
	require.NoError(t, err)
	data := trace.Data()
	require.Len(t, data.Steps, 1)
	top := data.Steps[0]
	assert.Equal(t, "top_functions", top.Name)
	require.Len(t, top.Steps, 2)
	assert.Positive(t, top.Steps[0].Figures["rows_read"])
	assert.Positive(t, top.Steps[0].Figures["bytes_read"])
	assert.NotContains(t, top.Steps[0].SQL, "service-1")
	assert.Equal(t, "functions", top.Steps[1].Name)
	names := map[string]bool{}
	for _, step := range top.Steps[1].Steps {
		names[step.Name] = true
	}
	assert.Contains(t, names, "stacks")
}

// TestMergeExemplars: a merge of spans is the sum of their exemplars by stack.
func TestMergeExemplars(t *testing.T) {
	s := newStore(t)
	row, want := withExemplars(t, s)
	require.Greater(t, len(want), 4)
	sums := make(map[profile.ID]int64)
	wantSum, wantCount := int64(0), uint64(0)
	c, err := row.Chunk()
	require.NoError(t, err)
	require.NoError(t, c.EachExemplar(func(at chunk.Place, e *chunk.Exemplar) error {
		if e.TraceID == [16]byte{1} {
			sums[layout.FromID(row.Keys.Stacks[at.Entry])] += e.Value
			wantSum, wantCount = wantSum+e.Value, wantCount+1
		}
		return nil
	}))
	require.EqualValues(t, 2, wantCount)
	r := newReader(s.pool, s.o, 64<<20)
	for _, sel := range []profilestore.Selector{
		{Tenant: "anonymous"},
		{Tenant: "anonymous", Service: row.Service, Kinds: []string{row.Kind}},
		{Tenant: "anonymous", Start: row.First - 1, End: row.Last + 1},
	} {
		m, err := r.MergeStacks(t.Context(), sel, profilestore.MergeOptions{TraceIDs: [][16]byte{{1}}, SpanIDs: [][8]byte{{0}, {2}, {3}, {9}}})
		require.NoError(t, err)
		require.Len(t, m.Kinds, 1)
		k := m.Kinds[0]
		assert.Equal(t, row.Kind, k.Kind)
		assert.Equal(t, wantSum, k.Totals[0])
		assert.Equal(t, wantCount, k.Events)
		got := make(map[profile.ID]int64)
		for _, x := range k.Rows {
			got[m.Stacks[x.Stack].ID] += x.Values[0]
		}
		assert.Equal(t, sums, got)
	}
	none, err := r.MergeStacks(t.Context(), profilestore.Selector{Tenant: "anonymous"}, profilestore.MergeOptions{ProfileIDs: [][16]byte{{7}}})
	require.NoError(t, err)
	assert.Empty(t, none.Kinds)
	_, err = r.MergeStacks(t.Context(), profilestore.Selector{Tenant: "anonymous"}, profilestore.MergeOptions{SpanIDs: make([][8]byte, profilestore.MaxIDs+1)})
	require.ErrorIs(t, err, profile.ErrInvalid)
}
