package diff

import (
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

func callsOf(read, futex uint64) Window {
	return Window{Start: 1, End: 1 + 1e9, Merge: &profilestore.Merge{Kinds: []profilestore.KindMerge{{
		Kind: profile.KindSyscall, Types: profile.Types(profile.KindSyscall), Events: read + futex,
		Syscalls: []profilestore.SyscallStats{{Number: 0, Count: read, Total: 9}, {Number: 202, Count: futex}},
	}}}}
}

// The change of the sums of one row is that of the row, and that of all rows that
// of the totals.
func TestChangeOfSums(t *testing.T) {
	for _, n := range []Normalize{None, Share, Rate} {
		r := Compute(profile.KindSyscall, callsOf(10, 30), callsOf(40, 40), Options{Normalize: n, MaxRows: 9})
		require.Len(t, r.Rows, 2)
		var all Sums
		for i := range r.Rows {
			row := &r.Rows[i]
			s := Sums{BaselineCount: row.Baseline.Count, ComparisonCount: row.Comparison.Count}
			s.Baseline, s.Comparison = r.Measured(row)
			assert.Equal(t, row.Change, r.Change(s), n)
			all.Baseline += s.Baseline
			all.Comparison += s.Comparison
			all.BaselineCount += s.BaselineCount
			all.ComparisonCount += s.ComparisonCount
		}
		c := r.Change(all)
		assert.Equal(t, int64(40), c.Delta)
		assert.InDelta(t, 1, c.BaselineShare, 1e-9)
		assert.InDelta(t, 1, c.ComparisonShare, 1e-9)
		assert.InDelta(t, 40, c.DeltaPerSecond, 1e-9)
		assert.Equal(t, Changed, c.Status)
		assert.Equal(t, New, r.Change(Sums{Comparison: 1, ComparisonCount: 1}).Status)
		assert.Equal(t, Gone, r.Change(Sums{Baseline: 1, BaselineCount: 1}).Status)
		assert.Equal(t, Unchanged, r.Change(Sums{}).Status)
	}
	r := Compute(profile.KindSyscall, callsOf(10, 30), callsOf(40, 40), Options{MaxRows: 1})
	require.True(t, r.Truncated)
	assert.True(t, math.IsNaN(r.Change(Sums{Baseline: 1, BaselineCount: 1}).PValue), "a row that is left out may be part of it")
}
