package profile

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pprofile"
)

// deepProfiles builds n stacks of growing depth of functions with that prefix.
func deepProfiles(prefix string, n int) pprofile.Profiles {
	b := NewBuilder()
	scope := b.Profiles().ResourceProfiles().AppendEmpty().ScopeProfiles().AppendEmpty()
	p := b.AddProfile(scope, KindCPU, Types(KindCPU)[0], ValueType{}, 0)
	var locations []int32
	for i := range n {
		f := b.Function(Function{Name: fmt.Sprint(prefix, i)})
		locations = append(locations, b.Location(0, uint64(i), FrameNative, Line{Function: f}))
		s := p.Samples().AppendEmpty()
		s.SetStackIndex(b.Stack(locations))
		s.AttributeIndices().Append(b.StringAttribute(AttrThreadName, fmt.Sprint(prefix, i%7)))
		s.TimestampsUnixNano().Append(1_000_000_000)
	}
	return b.Profiles()
}

// text is all that g says of its stacks and attributes.
func text(g *Groups) []string {
	var out []string
	for _, grp := range g.Groups {
		for _, e := range grp.Entries {
			line := g.Dict.StackIDs[e.Stack].String()
			for _, f := range g.Dict.Stacks[e.Stack] {
				line += " " + g.Dict.Frames[f].Function.Name + g.Dict.FrameIDs[f].String()
			}
			out = append(out, line+" "+g.Dict.Attributes[e.Attrs].Label(AttrThreadName)+fmt.Sprint(e.Values, e.Count))
		}
	}
	return out
}

// A Dictionary that is used again says nothing of what it held before, whatever
// the order of sizes, and several goroutines never share one.
func TestGroupsRelease(t *testing.T) {
	sizes := []int{40, 3, 300, 1, 100}
	inputs, want := make([]pprofile.Profiles, len(sizes)), make([][]string, len(sizes))
	for i, n := range sizes {
		inputs[i] = deepProfiles(fmt.Sprintf("%c", 'a'+i), n)
		g, err := Split(inputs[i], time.Second, Limits{})
		require.NoError(t, err)
		want[i] = text(g) // not released
		require.Len(t, want[i], n)
	}
	var wg sync.WaitGroup
	for worker := range 4 {
		wg.Go(func() {
			for round := range 20 {
				i := (worker + round*3) % len(sizes)
				g, err := Split(inputs[i], time.Second, Limits{})
				if assert.NoError(t, err) {
					assert.Equal(t, want[i], text(g))
					g.Release()
					g.Release() // harmless
				}
			}
		})
	}
	wg.Wait()
}
