package aggregate

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pprofile"

	"github.com/aperture-collector/aperture-collector/internal/profile"
)

// FuzzWindow sums arbitrary messages that Split accepts, twice, and expects that
// the outcome is valid and neither observations nor sums are lost.
func FuzzWindow(f *testing.F) {
	for _, kind := range []string{profile.KindCPU, profile.KindLock, profile.KindSyscall, "wall"} {
		pd := push(f, map[string]any{"service.name": "api"},
			observation{kind: kind, at: second, value: 3, stack: []string{"a", "b"}, attrs: map[string]any{"thread.name": "t", profile.AttrSyscallNumber: 1}},
			observation{kind: kind, at: 3 * second, value: 4, stack: []string{"a"}})
		for range 2 {
			b, err := (&pprofile.ProtoMarshaler{}).MarshalProfiles(pd)
			require.NoError(f, err)
			f.Add(b)
			w := NewTable(1 << 20).NewWindow(time.Second)
			w.Add(split(f, pd))
			pd = w.Profiles("x")
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		pd, err := (&pprofile.ProtoUnmarshaler{}).UnmarshalProfiles(b)
		if err != nil {
			return
		}
		g, err := profile.Split(pd, time.Second, profile.Limits{})
		if err != nil {
			return
		}
		w := NewTable(1 << 10).NewWindow(time.Second)
		w.Add(g)
		w.Add(g)
		wide := profile.Limits{MaxFrames: 1 << 16, MaxTotalFrames: 1 << 28, MaxStringLength: 1 << 20, MaxGroups: 1 << 23, MaxLabels: 1 << 12}
		out, err := profile.Split(w.Profiles("x"), time.Second, wide)
		require.NoError(t, err)
		if plausible(g) {
			require.Equal(t, 2*g.Events, out.Events)
			require.Equal(t, totals(g, 2), totals(out, 1))
		}
	})
}

// plausible tells whether sums cannot overflow and numbers of observations are
// what sums of counts say.
func plausible(g *profile.Groups) bool {
	const limit = 1 << 40
	for _, grp := range g.Groups {
		if grp.Start < 0 || grp.End > 1<<62 {
			return false
		}
		for i := range grp.Entries {
			e := &grp.Entries[i]
			for _, v := range append(e.Values[:], e.Min, e.Max, int64(min(e.Count, 1<<50))) {
				if v < 0 || v > limit {
					return false
				}
			}
		}
	}
	return true
}

// totals sums the values by kind and type.
func totals(g *profile.Groups, times int64) map[string]int64 {
	out := map[string]int64{}
	for _, grp := range g.Groups {
		for i := range grp.Entries {
			for t, typ := range grp.Types {
				if v := grp.Entries[i].Values[t]; v != 0 {
					out[grp.Kind+"/"+typ.Type+"/"+typ.Unit] += v * times
				}
			}
		}
	}
	return out
}
