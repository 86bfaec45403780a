package compact

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chconn"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/chunkrow"
	"github.com/aperture-collector/aperture-collector/internal/chunk"
	"github.com/aperture-collector/aperture-collector/internal/profile"
)

// fullRow makes one of such values that no two fit into one.
func (f *fixture) fullRow(key chunkrow.Key) *chunkrow.Row {
	var r *chunkrow.Row
	for r == nil || r.Keys.Len() == 0 {
		r = f.row(key)
	}
	n := r.Keys.Len()
	require.NoError(f, f.builder.Reset(len(key.SampleTypes())))
	indices := make([]uint32, n)
	entries := make([]chunk.Entry, n)
	for i := range indices {
		indices[i] = uint32(i)
		entries[i] = chunk.Entry{Index: uint32(i), Min: chunk.NoMinimum, Max: chunk.NoMaximum}
		entries[i].Values[0] = profile.MaxValue
	}
	r.Profiles, r.Events, r.First, r.Last = 0, 0, key.Hour*1e9, 0
	for sum := 0; sum <= 64; sum += n {
		p := chunk.Profile{Time: key.Hour*1e9 + int64(sum)*1e9}
		require.NoError(f, f.builder.Add(p, entries))
		r.Profiles++
		r.Last = p.Time
	}
	c, err := f.builder.Build(indices, nil)
	require.NoError(f, err)
	r.Columns = *c.Columns()
	return r.Clone()
}

// TestFullRows: rows that fit into none with others are written again when their hour
// is closed, not so many in a pass that others wait for it, and not before.
func TestFullRows(t *testing.T) {
	f := newFixture(t)
	k := keyOf("s", hourAgo(3))
	rows := make([]*chunkrow.Row, roundsAtOnce+2)
	for i := range rows {
		rows[i] = f.fullRow(k)
		f.spell(rows[i], f.want)
	}
	f.write(rows...)
	loads := 0
	db := hooked{f.pool, func(q chconn.Query) {
		if strings.Contains(q.Body, "AND id IN (") && !strings.Contains(q.Body, "level > 0") {
			loads++
		}
	}}
	c := f.compactor(db, Rules{MinRows: 5, CloseAfter: 1000 * time.Hour})
	f.passes(c, 3)
	assert.Equal(t, 1, loads, "nothing changed")
	assert.Len(t, c.known[k].full, len(rows)-1)
	assert.Zero(t, f.rows(1))
	f.check()
	// Rows that do not take much become one all the same.
	f.add(k, 6)
	f.passes(c, 2)
	assert.Equal(t, 1, f.rows(1))
	f.check()

	c = f.compactor(f.pool, quick)
	f.passes(c, 1)
	assert.Equal(t, roundsAtOnce, f.rows(2))
	f.check()
	f.passes(c, 1)
	assert.Equal(t, len(rows), f.rows(2), "the small ones are with one of them")
	f.check()
}
