package compact

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/chunkrow"
	"github.com/aperture-collector/aperture-collector/internal/chunk"
)

func TestPlan(t *testing.T) {
	const minute = 60_000
	const hour, end = int64(7200), int64(10800) * 1000
	rows := func(level uint8, n int, written int64) (out []*stored) {
		for i := range n {
			out = append(out, &stored{
				Header: chunkrow.Header{Level: level, ID: uint64(i), First: int64(n - i), Written: written, Profiles: 1, Entries: 1},
				bytes:  1, incidences: 1,
			})
		}
		return out
	}
	join := func(parts ...[]*stored) (out []*stored) {
		for _, p := range parts {
			out = append(out, p...)
		}
		return out
	}
	type made struct {
		level uint8
		rows  int
	}
	for name, c := range map[string]struct {
		rules Rules
		full  map[uint64]bool
		rows  []*stored
		now   int64
		made  []made
		due   int64
	}{
		"nothing":             {now: end, due: never},
		"few of an open hour": {rows: rows(0, 59, 1), now: end - 1, due: end + 5*minute},
		"enough":              {rows: join(rows(0, 60, 1), rows(1, 7, 1)), now: 1, made: []made{{1, 60}}, due: end + 5*minute},
		"many":                {rules: Rules{MaxRows: 70}, rows: rows(0, 195, 1), now: 1, made: []made{{1, 70}, {1, 70}}, due: end + 5*minute},
		"not closed yet":      {rows: rows(0, 1, 1), now: end + 5*minute - 1, due: end + 5*minute},
		"closed":              {rows: join(rows(0, 3, 1), rows(1, 2, 1), rows(2, 1, 1)), now: end + 5*minute, made: []made{{2, 5}}, due: never},
		"done":                {rows: rows(2, 3, 1), now: end + 5*minute, due: never},
		"late":                {rows: rows(0, 2, end+9*minute), now: end + 10*minute, due: end + 11*minute},
		"late and quiet":      {rows: rows(0, 1, end+9*minute), now: end + 11*minute, made: []made{{2, 1}}, due: never},
		"late and many":       {rows: rows(0, 60, end+9*minute), now: end + 10*minute, made: []made{{1, 60}}, due: end + 11*minute},
		"late for long":       {rows: join(rows(1, 3, end+6*minute), rows(0, 3, end+36*minute)), now: end + 36*minute, made: []made{{2, 6}}, due: never},
		"minutes just made":   {rows: join(rows(0, 60, 1), rows(1, 1, end+4*minute)), now: end + 5*minute, due: end + 6*minute},
		"full":                {full: map[uint64]bool{3: true}, rows: rows(0, 61, 1), now: 1, made: []made{{1, 60}}, due: end + 5*minute},
		"full, closed":        {full: map[uint64]bool{3: true}, rows: rows(0, 61, 1), now: end + 5*minute, made: []made{{2, 61}}, due: never},
		"large":               {rules: Rules{MaxBytes: 2}, rows: rows(1, 5, 1), now: end + 5*minute, made: []made{{2, 2}, {2, 2}, {2, 1}}, due: never},
	} {
		r := c.rules.withDefaults()
		jobs, due := r.plan(c.rows, c.full, hour, c.now)
		var got []made
		for _, j := range jobs {
			got = append(got, made{j.level, len(j.inputs)})
			for i := 1; i < len(j.inputs); i++ {
				assert.LessOrEqual(t, j.inputs[i-1].First, j.inputs[i].First, name)
			}
		}
		assert.Equal(t, c.made, got, name)
		assert.Equal(t, c.due, due, name)
	}
}

// TestGroupsFit never exceeds what a chunk can hold.
func TestGroupsFit(t *testing.T) {
	r := Rules{}.withDefaults()
	for _, s := range []stored{
		{Header: chunkrow.Header{Profiles: chunk.MaxProfiles/2 + 1}},
		{Header: chunkrow.Header{Entries: chunk.MaxEntries/2 + 1}},
		{incidences: chunk.MaxIncidences/2 + 1},
		{bytes: r.MaxBytes/2 + 1},
	} {
		groups := r.groups([]*stored{&s, &s, &s}, 1)
		assert.Len(t, groups, 3)
	}
}
