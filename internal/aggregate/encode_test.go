package aggregate

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pprofile"

	"github.com/aperture-collector/aperture-collector/internal/profile"
)

// inlined builds profiles whose locations have up to three lines. Some begin with the
// same lines, some have an address alone.
func inlined(seed uint64) pprofile.Profiles {
	r := rand.New(rand.NewPCG(seed, 1))
	b := profile.NewBuilder()
	p := b.AddProfile(b.Profiles().ResourceProfiles().AppendEmpty().ScopeProfiles().AppendEmpty(),
		profile.KindCPU, profile.Types(profile.KindCPU)[0], profile.CPUTime, 10_000_000)
	p.SetTime(5_000_000_000)
	for range 300 {
		var locations []int32
		for range 1 + r.IntN(4) {
			var lines []profile.Line
			for depth := range r.IntN(4) {
				lines = append(lines, profile.Line{
					Function: b.Function(profile.Function{Name: fmt.Sprint("f", depth, r.IntN(2))}), Line: int64(r.IntN(2)),
				})
			}
			m := b.Mapping(profile.Mapping{Filename: fmt.Sprint("/bin/", r.IntN(2))})
			locations = append(locations, b.Location(m, uint64(r.IntN(2)), "", lines...))
		}
		s := p.Samples().AppendEmpty()
		s.SetStackIndex(b.Stack(locations))
		s.Values().Append(1)
	}
	return b.Profiles()
}

// What a Window encodes has the frames of what was added, each location once.
func TestProfilesInlined(t *testing.T) {
	table := NewTable(1 << 20)
	for seed := range uint64(3) {
		want := sums(split(t, inlined(seed)))
		require.Greater(t, len(want), 100)
		assert.Equal(t, want, sums(roundTrip(t, table, inlined(seed))))
	}
	w := table.NewWindow(time.Second)
	w.Add(split(t, inlined(0)))
	d, was := w.Profiles("").Dictionary(), inlined(0).Dictionary()
	assert.LessOrEqual(t, d.LocationTable().Len(), was.LocationTable().Len())
	assert.LessOrEqual(t, d.FunctionTable().Len(), was.FunctionTable().Len())
	assert.LessOrEqual(t, d.MappingTable().Len(), was.MappingTable().Len())
	assert.LessOrEqual(t, d.StackTable().Len(), was.StackTable().Len())
}
