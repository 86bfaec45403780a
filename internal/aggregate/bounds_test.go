package aggregate

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// TestSumsDoNotWrap sums the largest values that there are: over pushes, over
// windows, and in the next hop, which must take the window.
func TestSumsDoNotWrap(t *testing.T) {
	kinds := []string{profile.KindOffCPU, profile.KindLock, profile.KindSyscall, profile.KindGPU, "space"}
	for _, sign := range []int64{1, -1} {
		var obs []observation
		for _, kind := range kinds {
			for range 3 {
				obs = append(obs, observation{
					kind: kind, at: second, value: sign * profile.MaxValue, stack: []string{"main"},
					attrs: map[string]any{profile.AttrSyscallNumber: 1},
				})
			}
		}
		recent := NewRecent(time.Hour, 1<<30)
		table := NewTable(1 << 20)
		for range 200 {
			w := table.NewWindow(time.Second)
			w.Add(split(t, push(t, map[string]any{profile.AttrTenant: "t"}, obs...)))
			w.Add(split(t, push(t, map[string]any{profile.AttrTenant: "t"}, obs...)))
			g := split(t, w.Profiles("w"))
			for _, grp := range g.Groups {
				assert.EqualValues(t, sign*profile.MaxValue, grp.Entries[0].Values[0], grp.Kind)
			}
			recent.Add(w)
		}
		m, err := recent.MergeStacks(t.Context(), profilestore.Selector{Tenant: "t"}, profilestore.MergeOptions{BySyscall: true})
		require.NoError(t, err)
		require.Len(t, m.Kinds, len(kinds))
		bound := int64(math.MaxInt64)
		if sign < 0 {
			bound = math.MinInt64
		}
		for _, k := range m.Kinds {
			assert.Equal(t, bound, k.Totals[0], k.Kind)
			assert.Equal(t, bound, k.Rows[0].Values[0], k.Kind)
			for _, s := range k.Syscalls {
				assert.Equal(t, bound, s.Total, k.Kind)
			}
		}
	}
}

// TestRestIsAValue makes sums whose rest between the extremes is larger than a
// value may be.
func TestRestIsAValue(t *testing.T) {
	b := profile.NewBuilder()
	p := b.AddProfile(b.Profiles().ResourceProfiles().AppendEmpty().ScopeProfiles().AppendEmpty(),
		profile.KindLock, profile.Types(profile.KindLock)[0], profile.ValueType{}, 0)
	p.AttributeIndices().Append(b.StringAttribute(profile.AttrValues, profile.ValuesMinRestMax))
	p.Samples().AppendEmpty().Values().FromRaw([]int64{-profile.MaxValue, profile.MaxValue, 1})
	for range 2 {
		p.Samples().AppendEmpty().Values().FromRaw([]int64{0, profile.MaxValue, 1})
	}
	w := NewTable(1 << 20).NewWindow(time.Second)
	w.Add(split(t, b.Profiles()))
	split(t, w.Profiles("w"))
}
