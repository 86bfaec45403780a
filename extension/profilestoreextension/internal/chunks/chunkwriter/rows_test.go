package chunkwriter

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/chunkrow"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/chunktest"
	"github.com/aperture-collector/aperture-collector/internal/chunk"
	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// rowsOf returns copies of the rows of a window.
func rowsOf(t testing.TB, r *rows, w *profilestore.Window) []*chunkrow.Row {
	t.Helper()
	var out []*chunkrow.Row
	r.group(w.Groups)
	require.NoError(t, r.build(w.Token, 3600, func(row *chunkrow.Row) { out = append(out, row.Clone()) }))
	r.release()
	return out
}

func contents(t testing.TB, rows []*chunkrow.Row) *chunktest.Contents {
	t.Helper()
	c := chunktest.NewContents()
	for _, r := range rows {
		require.NoError(t, c.AddRow(r))
	}
	return c
}

// TestRows: the rows of a window have exactly what the window has, whatever their
// largest size.
func TestRows(t *testing.T) {
	source := chunktest.NewSource(1)
	for limit := 1; limit <= maxRowBytes; limit *= 8 {
		reused := newRows(limit)
		for _, n := range []int{0, 1, 3, 200} {
			// A second, an hour, a day and a month.
			for _, length := range []int64{1, 3600, 86400, 30 * 86400} {
				w := source.Window(chunktest.Base+5, length*chunktest.Second, n)
				want := chunktest.NewContents()
				want.AddWindow(w)
				rows := rowsOf(t, reused, w)
				got := contents(t, rows)
				require.Equal(t, want.Places, got.Places)
				if limit >= 1<<12 { // otherwise profiles are cut
					require.Equal(t, want.Profiles, got.Profiles)
				}
				again := rowsOf(t, newRows(limit), w)
				for i := range rows {
					require.NotEqual(t, again[i].Nonce, rows[i].Nonce, "every insert has its own")
					again[i].Nonce = rows[i].Nonce
				}
				require.Equal(t, again, rows, "the same from used and from new memory")
				checkRows(t, w, rows)
			}
		}
	}
}

func checkRows(t testing.TB, w *profilestore.Window, rows []*chunkrow.Row) {
	t.Helper()
	ordinals := make(map[chunkrow.Key]uint32)
	for i, r := range rows {
		if i > 0 {
			require.LessOrEqual(t, rows[i-1].Key.Compare(&r.Key), 0)
		}
		require.Equal(t, chunkrow.WindowRowID(w.Token, &r.Key, ordinals[r.Key]), r.ID)
		ordinals[r.Key]++
		require.Zero(t, r.Level)
		require.Zero(t, r.Seq)
		require.Empty(t, r.Covers)
		require.EqualValues(t, 3600, r.Stored)
	}
}

// TestRowsSplit: rows have about the size that they are limited to.
func TestRowsSplit(t *testing.T) {
	w := chunktest.NewSource(2).Window(chunktest.Base, chunktest.Second, 3000)
	whole, cut := rowsOf(t, newRows(maxRowBytes), w), rowsOf(t, newRows(16<<10), w)
	assert.Greater(t, len(cut), 2*len(whole))
	for _, r := range cut {
		assert.LessOrEqual(t, r.Bytes(), 16<<10)
	}
	assert.Equal(t, contents(t, whole), contents(t, cut))
}

// TestEqualAttributes: sets of attributes that are there twice are one.
func TestEqualAttributes(t *testing.T) {
	w := chunktest.NewSource(3).Window(chunktest.Base, 1, 1)
	d := *w.Groups.Dict
	n := int32(len(d.Attributes))
	d.Attributes = append(append([]profile.SampleAttributes(nil), d.Attributes...), d.Attributes[0], d.Attributes[5])
	g := *w.Groups.Groups[0]
	g.Kind, g.Types = "lock", profile.Types("lock")
	entry := func(attrs int32) profile.Entry {
		return profile.Entry{Stack: 1, Attrs: attrs, Count: 1, Values: [4]int64{10, 1}}
	}
	g.Entries = []profile.Entry{entry(5), entry(n + 1), entry(n), entry(0), entry(5)}
	w = &profilestore.Window{Token: w.Token, Groups: &profile.Groups{Dict: &d, Groups: []*profile.Group{&g}}}
	rows := rowsOf(t, newRows(maxRowBytes), w)
	require.Len(t, rows, 1)
	require.EqualValues(t, 2, rows[0].Entries)
	require.EqualValues(t, 5, rows[0].Events)
	want := chunktest.NewContents()
	want.AddWindow(w)
	assert.Equal(t, want, contents(t, rows))
}

// TestValuesBeyondTypes are not those of anything.
func TestValuesBeyondTypes(t *testing.T) {
	w := chunktest.NewSource(3).Window(chunktest.Base, 1, 1)
	g := *w.Groups.Groups[0]
	g.Types = g.Types[:1]
	g.Entries = []profile.Entry{{Stack: 1, Count: 1, Values: [4]int64{1, 2, 3, 4}}}
	rows := rowsOf(t, newRows(maxRowBytes), &profilestore.Window{Groups: &profile.Groups{Dict: w.Groups.Dict, Groups: []*profile.Group{&g}}})
	require.Len(t, rows, 1)
	assert.Equal(t, []int64{1}, rows[0].Columns.Entries.Totals[0])
	assert.Empty(t, rows[0].Columns.Entries.Totals[1])
}

// TestDamaged: what is changed in the columns of a row is found.
func TestDamaged(t *testing.T) {
	rows := rowsOf(t, newRows(maxRowBytes), chunktest.NewSource(4).Window(chunktest.Base, chunktest.Second, 400))
	var row *chunkrow.Row
	for _, r := range rows {
		if r.Kind == profile.KindSyscall && (row == nil || r.Entries > row.Entries) {
			row = r
		}
	}
	for name, damage := range map[string]func(r *chunkrow.Row){
		"profiles_n":  func(r *chunkrow.Row) { r.Profiles++ },
		"entries_n":   func(r *chunkrow.Row) { r.Entries-- },
		"events":      func(r *chunkrow.Row) { r.Events++ },
		"types":       func(r *chunkrow.Row) { r.Types += ",a/b" },
		"hour":        func(r *chunkrow.Row) { r.Hour += 3600 },
		"first_time":  func(r *chunkrow.Row) { r.First++ },
		"last_time":   func(r *chunkrow.Row) { r.Last++ },
		"series":      func(r *chunkrow.Row) { r.Columns.Profiles.Series[0] = 99 },
		"series_ids":  func(r *chunkrow.Row) { r.SeriesIDs[1] = r.SeriesIDs[0] },
		"stacks":      func(r *chunkrow.Row) { r.Keys.Stacks[0].High = ^uint64(0) },
		"no stack":    func(r *chunkrow.Row) { r.Keys.Stacks = nil },
		"syscalls":    func(r *chunkrow.Row) { r.Keys.Syscalls = r.Keys.Syscalls[1:] },
		"times":       func(r *chunkrow.Row) { r.Columns.Profiles.Times = r.Columns.Profiles.Times[1:] },
		"t0":          func(r *chunkrow.Row) { r.Columns.Entries.Totals[0][0]++ },
		"head":        func(r *chunkrow.Row) { r.Columns.Streams.Head[0] = 99 },
		"other times": func(r *chunkrow.Row) { r.Columns.Profiles.Times[0] -= 3600_000_000_000 },
	} {
		r := row.Clone()
		damage(r)
		_, err := r.Chunk()
		require.ErrorIs(t, err, chunk.ErrInvalid, name)
		require.ErrorContains(t, err, "kind \"syscall\"", name)
	}
	_, err := row.Chunk()
	require.NoError(t, err)
}

// TestRowsOfExtremes: rows are cut before a total is beyond an int64, also within one
// profile.
func TestRowsOfExtremes(t *testing.T) {
	w := chunktest.NewSource(3).Window(chunktest.Base+5, chunktest.Second, 0)
	series := &profile.Series{Tenant: "t", Service: "api"}
	for i := range 3 {
		g := &profile.Group{Series: series, Kind: "things", Types: []profile.ValueType{{Type: "things", Unit: "count"}}, Start: chunktest.Base + int64(i), End: chunktest.Base + 9}
		for stack := range 3 {
			for attrs := range min(len(w.Groups.Dict.Attributes), 3) {
				for range 50 {
					v := int64(profile.MaxValue)
					if stack == 1 {
						v = -v
					}
					g.Entries = append(g.Entries, profile.Entry{Stack: int32(stack), Attrs: int32(attrs), Values: [profile.MaxTypes]int64{v}, Count: profile.MaxValue})
				}
			}
		}
		w.Groups.Groups = append(w.Groups.Groups, g)
	}
	want := chunktest.NewContents()
	want.AddWindow(w)
	rows := rowsOf(t, newRows(maxRowBytes), w)
	require.Greater(t, len(rows), 3)
	require.Equal(t, want.Places, contents(t, rows).Places)
	for _, r := range rows {
		c, err := r.Chunk()
		require.NoError(t, err)
		var sums chunk.Magnitudes
		require.NoError(t, sums.AddChunk(c))
		var reader chunk.Reader
		require.NoError(t, reader.Verify(c))
	}
}
