package compact

import (
	"context"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pprofile"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/chunkreader"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/chunkrow"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/chunkwriter"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/reader"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/writer"
	"github.com/aperture-collector/aperture-collector/internal/aggregate"
	"github.com/aperture-collector/aperture-collector/internal/chunk"
	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// TestExemplars sends samples with links the whole way: pushes are summed up in
// windows, windows become rows, rows one row. What a span has is always its sum.
func TestExemplars(t *testing.T) {
	f := newFixture(t)
	ctx := context.Background()
	w := chunkwriter.New(f.pool, writer.Options{Tables: f.tables, KnownEntries: 1000})
	r := chunkreader.New(f.pool, chunkreader.Options{
		Options: reader.Options{
			Tables: f.tables, MaxExecutionTime: time.Minute, MaxMemoryUsage: 1 << 30, MaxRows: 1 << 20,
			MaxStacks: 100_000, StackCacheSize: 1 << 20,
		},
		DeleteDelay: 10 * time.Minute, BufferBytes: 1 << 20,
	})
	type place struct {
		service, stack string
		link           profile.Link
		id             pprofile.ProfileID
		at             int64
	}
	want := make(map[place]int64)
	stacks := []string{"f", "g", "h"}
	begin := hourAgo(3) * 1e9
	push := func(second int64) pprofile.Profiles {
		b := profile.NewBuilder()
		for _, service := range []string{"api", "shop"} {
			rp := b.Profiles().ResourceProfiles().AppendEmpty()
			rp.Resource().Attributes().PutStr(profile.AttrTenant, "t")
			rp.Resource().Attributes().PutStr("service.name", service)
			p := b.AddProfile(rp.ScopeProfiles().AppendEmpty(), profile.KindLock, profile.Types(profile.KindLock)[0], profile.ValueType{}, 0)
			p.SetProfileID(pprofile.ProfileID{byte(f.rng.IntN(2))})
			for range 20 {
				name, link := stacks[f.rng.IntN(3)], profile.Link{}
				if n := f.rng.IntN(4); n > 0 {
					link = profile.Link{SpanID: [8]byte{byte(n)}, TraceID: [16]byte{byte(n / 2)}}
				}
				fn := b.Function(profile.Function{Name: name})
				s := b.AddSample(p.Samples(), b.Stack([]int32{b.Location(0, 0, profile.FrameGo, profile.Line{Function: fn})}), nil)
				s.SetLinkIndex(b.Link(link))
				s.TimestampsUnixNano().Append(uint64(begin + second*1e9 + 5))
				v := f.rng.Int64N(1000)
				s.Values().Append(v)
				if link != (profile.Link{}) {
					want[place{service, name, link, p.ProfileID(), begin + second*1e9 + 5}] += v
				}
			}
		}
		return b.Profiles()
	}
	split := func(pd pprofile.Profiles) *profile.Groups {
		g, err := profile.Split(pd, time.Second, profile.Limits{})
		require.NoError(t, err)
		return g
	}
	table := aggregate.NewTable(1 << 20)
	for i := range int64(7) {
		window := table.NewWindow(time.Second)
		for range 3 {
			window.Add(split(push(i)))
		}
		g := split(window.Profiles("id"))
		require.NoError(t, w.Write(ctx, &profilestore.Window{Token: profile.ID{Hi: 77, Lo: uint64(i)}, Groups: g}))
	}
	check := func() {
		t.Helper()
		list, err := r.Exemplars(ctx, profilestore.Selector{Tenant: "t"}, profilestore.ExemplarOptions{Limit: 10_000})
		require.NoError(t, err)
		got := make(map[place]int64)
		for i := range list {
			x := &list[i]
			at := place{x.Service, x.Stack.Frames[0].Function.Name, profile.Link{SpanID: x.SpanID, TraceID: x.TraceID}, x.ProfileID, x.Time}
			require.NotContains(t, got, at, "values of one stack, span and time are one")
			got[at] = x.Value
		}
		assert.Equal(t, want, got)
	}
	check()
	c := f.compactor(f.pool, quick)
	f.passes(c, 1)
	assert.Equal(t, []int{14, 0, 2}, []int{f.rows(0), f.rows(1), f.rows(2)})
	check()
}

// TestFull: what does not fit into one row becomes several, and totals are exact.
func TestFull(t *testing.T) {
	f := newFixture(t)
	k := keyOf("s", hourAgo(3))
	sum := int64(0)
	row := func(value int64) *chunkrow.Row {
		r := f.row(k)
		for r.Profiles == 0 || r.Entries == 0 {
			r = f.row(k)
		}
		require.NoError(t, f.builder.Reset(2))
		require.NoError(t, f.builder.Add(chunk.Profile{Time: r.First}, []chunk.Entry{{Values: [chunk.MaxTypes]int64{value}, Count: 1, Min: 1}}))
		c, err := f.builder.Build(nil, nil)
		require.NoError(t, err)
		r.Keys = chunkrow.EntryKeys{}
		r.Keys.Append(&chunkrow.EntryKey{Stack: stackID(1), Syscall: -1})
		r.Columns, r.Profiles, r.Entries, r.Events, r.Last = *c.Columns(), 1, 1, 1, r.First
		r.SeriesIDs = r.SeriesIDs[:1]
		sum += value
		f.spell(r, f.want)
		return r.Clone()
	}
	const half = math.MaxInt64/2 + 1
	f.write(row(half), row(-half), row(half), row(7), row(-half), row(8))
	c := f.compactor(f.pool, quick)
	f.passes(c, 2)
	f.check()
	assert.Greater(t, f.rows(2), 2)
	assert.EqualValues(t, 15, sum)
	assert.Equal(t, 15, f.number("(SELECT sum(arraySum(t0)) FROM "+f.table()+" WHERE level = 2)"))
	f.age(11 * time.Minute)
	f.passes(c, 2)
	f.settled()
	f.check()
	assert.Zero(t, f.rows(0))
}
