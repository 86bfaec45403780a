package chunktest

import (
	"context"
	"testing"

	"github.com/ClickHouse/ch-go"
	"github.com/ClickHouse/ch-go/proto"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chconn"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/chunkrow"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/chunktable"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/stackdict"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/layout"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/schema"
	"github.com/aperture-collector/aperture-collector/internal/chunk"
	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// Profile is what profiles are told apart by.
type Profile struct {
	chunkrow.Key
	Series         profile.ID
	Time, Duration int64
}

// Place is an entry of a profile.
type Place struct {
	Profile
	Entry chunkrow.EntryKey
}

// Sums are those of a place, over all profiles that are equal in [Profile].
type Sums struct {
	Values   [profile.MaxTypes]int64
	Count    uint64
	Min, Max int64 // layout.NoMinimum and layout.NoMaximum if not known
}

// Contents is everything that is in windows or rows, taken apart. Two of them are
// equal (assert.Equal) if exactly the same was stored.
type Contents struct {
	Profiles map[Profile]int
	Places   map[Place]Sums
}

// NewContents returns that of nothing.
func NewContents() *Contents {
	return &Contents{Profiles: make(map[Profile]int), Places: make(map[Place]Sums)}
}

func (c *Contents) add(at Place, s Sums) {
	sum, ok := c.Places[at]
	if !ok {
		sum.Min, sum.Max = layout.NoMinimum, layout.NoMaximum
	}
	for i, v := range s.Values {
		sum.Values[i] += v
	}
	sum.Count += s.Count
	if s.Min <= s.Max {
		sum.Min, sum.Max = min(sum.Min, s.Min), max(sum.Max, s.Max)
	}
	c.Places[at] = sum
}

// AddWindow adds what a window has.
func (c *Contents) AddWindow(w *profilestore.Window) {
	d := w.Groups.Dict
	for _, g := range w.Groups.Groups {
		if len(g.Entries) == 0 {
			continue
		}
		p := Profile{
			Key: chunkrow.Key{
				Tenant: g.Series.Tenant, Service: g.Series.Service, Kind: g.Kind, Types: layout.EncodeTypes(g.Types),
				PeriodType: layout.EncodeType(g.PeriodType), Period: g.Period, Hour: g.Start / layout.Hour * 3600,
			},
			Series: g.Series.ID, Time: g.Start, Duration: g.End - g.Start,
		}
		c.Profiles[p]++
		for _, e := range g.Entries {
			a := &d.Attributes[e.Attrs]
			key := chunkrow.EntryKey{Stack: d.StackIDs[e.Stack], Set: a.LabelsID, Lock: a.LockAddress, Syscall: a.Syscall, Bucket: a.Bucket}
			if a.Error {
				key.Error = 1
			}
			s := Sums{Values: e.Values, Count: e.Count, Min: e.Min, Max: e.Max}
			duration := len(profile.Types(g.Kind)) == 2
			if e.Min == 0 && e.Max == 0 && !(duration && e.Count > 0 && e.Values[0] == 0) {
				s.Min, s.Max = layout.NoMinimum, layout.NoMaximum
			}
			c.add(Place{p, key}, s)
		}
	}
}

// AddRow adds what a row has, which is checked completely.
func (c *Contents) AddRow(r *chunkrow.Row) error {
	all, err := r.Chunk()
	if err != nil {
		return err
	}
	if err := r.Keys.Check(all.Entries()); err != nil {
		return err
	}
	var reader chunk.Reader
	if err := reader.Verify(all); err != nil {
		return err
	}
	return reader.Profiles(all, nil, func(i int, entries []chunk.Entry) error {
		from := all.Profile(i)
		p := Profile{Key: r.Key, Series: layout.FromID(r.SeriesIDs[from.Series]), Time: from.Time, Duration: from.Duration}
		c.Profiles[p]++
		for _, e := range entries {
			c.add(Place{p, r.Keys.At(int(e.Index))}, Sums{e.Values, e.Count, e.Min, e.Max})
		}
		return nil
	})
}

// ReadRows returns all rows of the table with these columns.
func ReadRows(tb testing.TB, pool *chconn.Pool, o schema.Options, fields chunkrow.Fields) []*chunkrow.Row {
	tb.Helper()
	var out []*chunkrow.Row
	res := chunkrow.NewResult(fields)
	err := pool.Do(tb.Context(), chconn.Query{Query: ch.Query{
		Body:   "SELECT " + res.Columns() + " FROM " + o.Table(chunktable.Name) + " ORDER BY tenant, service, kind, types, period_type, period, hour, level, seq, id",
		Result: res.Results(),
		OnResult: func(context.Context, proto.Block) error {
			for i := range res.Rows() {
				var row chunkrow.Row
				res.Row(i, &row)
				out = append(out, row.Clone())
			}
			return nil
		},
	}})
	require.NoError(tb, err)
	return out
}

// Spell fills in the hashes of the stacks of rows that have numbers for them.
func Spell(tb testing.TB, pool *chconn.Pool, o schema.Options, rows []*chunkrow.Row) {
	tb.Helper()
	do := func(ctx context.Context, _ string, q chconn.Query) error { return pool.Do(ctx, q) }
	dicts := stackdict.New(stackdict.Options{Tables: o, Do: do, Bytes: 1 << 30})
	for _, r := range rows {
		if r.Dictionary != 0 {
			found, err := dicts.Get(tb.Context(), r.Tenant, []stackdict.Ref{{Service: r.Service, ID: r.Dictionary, Stacks: r.Stacks()}})
			require.NoError(tb, err)
			require.NoError(tb, r.Spell(found[0].IDs()))
		}
	}
}

// Read returns what the rows of the table that count have together.
func Read(tb testing.TB, pool *chconn.Pool, o schema.Options) *Contents {
	tb.Helper()
	rows := ReadRows(tb, pool, o, chunkrow.All)
	Spell(tb, pool, o, rows)
	c := NewContents()
	for i, visible := range chunkrow.Visible(rows) {
		if visible {
			require.NoError(tb, c.AddRow(rows[i]))
		}
	}
	return c
}
