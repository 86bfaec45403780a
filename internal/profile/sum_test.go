package profile

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pprofile"
)

func TestSumsStopAtTheBounds(t *testing.T) {
	const lo, hi = math.MinInt64, math.MaxInt64
	for _, c := range []struct{ a, b, sum, difference int64 }{
		{0, 0, 0, 0},
		{-3, 2, -1, -5},
		{3, -2, 1, 5},
		{hi, 1, hi, hi - 1},
		{hi, hi, hi, 0},
		{hi, -1, hi - 1, hi},
		{lo, -1, lo, lo + 1},
		{lo, 1, lo + 1, lo},
		{lo, lo, lo, 0},
		{lo, hi, -1, lo},
		{hi, lo, -1, hi},
		{0, lo, lo, hi},
		{-1, lo, lo, hi},
	} {
		assert.Equal(t, c.sum, Add(c.a, c.b), "%d + %d", c.a, c.b)
		assert.Equal(t, c.sum, Add(c.b, c.a), "%d + %d", c.b, c.a)
		assert.Equal(t, c.difference, Sub(c.a, c.b), "%d - %d", c.a, c.b)
	}
	assert.EqualValues(t, 3, AddCount(1, 2))
	assert.EqualValues(t, uint64(math.MaxUint64), AddCount(math.MaxUint64, 1))
	assert.EqualValues(t, uint64(math.MaxUint64), AddCount(math.MaxUint64, math.MaxUint64))
}

// valued is a profile of a kind with one sample of these values: raw ones, or
// aggregated.
func valued(kind string, typ ValueType, raw bool, values ...int64) pprofile.Profiles {
	b := NewBuilder()
	scope := b.Profiles().ResourceProfiles().AppendEmpty().ScopeProfiles().AppendEmpty()
	s := b.AddProfile(scope, kind, typ, ValueType{}, 0).Samples().AppendEmpty()
	s.Values().FromRaw(values)
	for i := range values {
		if raw {
			s.TimestampsUnixNano().Append(uint64(i))
		}
	}
	return b.Profiles()
}

func TestSplitBoundsValues(t *testing.T) {
	kinds := map[string]ValueType{"bytes": {"space", "bytes"}, "other count": {"things", "count"}, "observations": ObservationsType}
	for _, kind := range []string{KindCPU, KindOffCPU, KindLock, KindSyscall, KindGPU} {
		for _, typ := range Types(kind) {
			kinds[kind] = typ
		}
	}
	for kind, typ := range kinds {
		for _, raw := range []bool{false, true} {
			if raw && (len(Types(kind)) == 2 || typ == ObservationsType) {
				continue // not read: raw observations are counted
			}
			name := fmt.Sprint(kind, " raw ", raw)
			for _, v := range []int64{math.MaxInt64, MaxValue + 1, -MaxValue - 1, math.MinInt64} {
				_, err := Split(valued(kind, typ, raw, v), time.Second, Limits{})
				require.ErrorIs(t, err, ErrInvalid, name)
				assert.ErrorContains(t, err, fmt.Sprintf("sample[0].values[0] is %d; its magnitude must be at most %d", v, int64(MaxValue)), name)
			}
			for _, v := range []int64{MaxValue, -MaxValue} {
				many := make([]int64, 1000)
				for i := range many {
					many[i] = v
				}
				g, err := Split(valued(kind, typ, raw, many...), time.Second, Limits{})
				require.NoError(t, err, name)
				if len(g.Groups) == 0 {
					continue
				}
				e := g.Groups[0].Entries[0]
				assert.Contains(t, e.Values, v, name)
				assert.LessOrEqual(t, e.Count, uint64(MaxValue), name)
			}
		}
	}
}

func TestSplitRefusesTimesThatWrap(t *testing.T) {
	for _, c := range []struct{ time, duration uint64 }{
		{0, math.MaxUint64},
		{1_700_000_000e9, math.MaxInt64},
		{1_700_000_000e9, math.MaxUint64 - 1_700_000_000e9 + 1},
		{math.MaxUint64, 2},
		{1 << 63, 0},
		{0, uint64(MaxTime)},
	} {
		pd := valued("space", ValueType{"space", "bytes"}, false, 1)
		p := pd.ResourceProfiles().At(0).ScopeProfiles().At(0).Profiles().At(0)
		p.SetTime(pcommon.Timestamp(c.time))
		p.SetDurationNano(c.duration)
		_, err := Split(pd, time.Second, Limits{})
		require.ErrorIs(t, err, ErrInvalid, c)
		assert.ErrorContains(t, err, "profile.time_unix_nano is", c)
	}
}
