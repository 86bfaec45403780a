package integration

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/internal/aperturejson"
	"github.com/aperture-collector/aperture-collector/internal/diff"
	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// extremeWindow has the largest value for each of many stacks and every kind,
// so that all together are beyond a uint64.
func extremeWindow(tb testing.TB, start int64) *profilestore.Window {
	b := profile.NewBuilder()
	rp := b.Profiles().ResourceProfiles().AppendEmpty()
	rp.Resource().Attributes().PutStr(profile.AttrTenant, "t")
	rp.Resource().Attributes().PutStr("service.name", "api")
	scope := rp.ScopeProfiles().AppendEmpty()
	for kind, typ := range map[string]profile.ValueType{
		profile.KindCPU: {}, profile.KindOffCPU: {}, profile.KindLock: {}, profile.KindSyscall: {}, profile.KindGPU: {},
		"heap": {Type: "inuse_space", Unit: "bytes"}, "things": {Type: "things", Unit: "count"},
	} {
		if own := profile.Types(kind); own != nil {
			typ = own[0]
		}
		p := b.AddProfile(scope, kind, typ, profile.ValueType{}, 0)
		p.SetTime(pprofileTime(start))
		for i := range 300 {
			s := p.Samples().AppendEmpty()
			s.SetStackIndex(stackOf(b, i))
			s.Values().Append(profile.MaxValue)
			if kind == profile.KindSyscall {
				s.AttributeIndices().Append(b.IntAttribute(profile.AttrSyscallNumber, 1))
			}
		}
	}
	g, err := profile.Split(b.Profiles(), time.Second, profile.Limits{})
	require.NoError(tb, err)
	return &profilestore.Window{Token: profile.HashBytes([]byte{byte(start)}), Groups: g}
}

// TestSumsStopAtTheBounds expects that no sum of values turns negative or small,
// wherever it is made: here, in ClickHouse, of hours and of single profiles.
func TestSumsStopAtTheBounds(t *testing.T) {
	store, _, _ := newStore(t)
	require.NoError(t, store.Write(t.Context(), extremeWindow(t, base)))
	for name, sel := range map[string]profilestore.Selector{
		"hours":    {Tenant: "t"},
		"service":  {Tenant: "t", Service: "api"},
		"profiles": {Tenant: "t", Matchers: []profilestore.Matcher{{Name: "service.name", Value: "api"}}},
	} {
		for _, opts := range []profilestore.MergeOptions{
			{ByLock: true, BySyscall: true}, {NoStacks: true}, {NoStacks: true, SyscallRows: true}, {MaxStacks: 1},
		} {
			m, err := store.MergeStacks(t.Context(), sel, opts)
			require.NoError(t, err)
			require.Len(t, m.Kinds, 7)
			for _, k := range m.Kinds {
				assert.EqualValues(t, math.MaxInt64, k.Totals[0], "%s %s %+v", name, k.Kind, opts)
				if opts.NoStacks {
					assert.EqualValues(t, math.MaxInt64, k.Rows[0].Values[0], "%s %s", name, k.Kind)
				}
				if k.Types[0].Unit == "count" {
					assert.EqualValues(t, uint64(math.MaxUint64), k.Events, "%s %s %+v", name, k.Kind, opts)
				}
				for _, s := range k.Syscalls {
					assert.EqualValues(t, math.MaxInt64, s.Total, name)
				}
			}
			if !opts.BySyscall {
				continue
			}
			var out strings.Builder
			require.NoError(t, aperturejson.Write(&out, m, aperturejson.Options{MaxRows: 1000}))
			assert.NotContains(t, out.String(), ":-")
			assert.Contains(t, out.String(), `"total_samples":9223372036854775807`)
			assert.Contains(t, out.String(), `"total_duration_ns":9223372036854775807`)
			for _, kind := range []string{profile.KindCPU, profile.KindLock, profile.KindSyscall, "heap"} {
				w := diff.Window{Merge: m}
				out.Reset()
				require.NoError(t, aperturejson.WriteDiff(&out, diff.Compute(kind, diff.Window{Merge: new(profilestore.Merge)}, w, diff.Options{MaxRows: 1000}), 1000, aperturejson.Upstream))
				assert.NotContains(t, out.String(), ":-", kind)
			}
		}
		n, err := store.CountEvents(t.Context(), sel)
		require.NoError(t, err)
		assert.EqualValues(t, uint64(math.MaxUint64), n, name)
	}
}
