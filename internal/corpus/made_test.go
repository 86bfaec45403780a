package corpus

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/internal/pprofwire"
	"github.com/aperture-collector/aperture-collector/internal/profile"
)

// What an observer sees is what the profiles have, and so have the pprof files.
func TestMade(t *testing.T) {
	c := small(t)
	g := c.NewGenerator()
	seen, files := make(map[Key]int64), make(map[Key]int64)
	profiles := uint64(0)
	g.Observe(func(m *Made) {
		profiles++
		assert.WithinRange(t, time.Unix(0, m.Start), c.Config().Start, c.Config().Start.Add(2*c.Config().Interval))
		for i := range m.Len() {
			for n, vt := range m.Types {
				if v := m.Value(i, n); v != 0 {
					seen[Key{c.Service(m.Service), m.Kind, vt.Type, m.Key(i)}] += v
				}
			}
		}
		var zipped bytes.Buffer
		require.NoError(t, m.Pprof().Write(&zipped))
		p, err := pprofwire.Parse(zipped.Bytes(), pprofwire.Limits{})
		require.NoError(t, err)
		pd, err := pprofwire.ToProfiles(p, pprofwire.Options{Kind: m.Kind})
		require.NoError(t, err)
		c.Labels(m.Service, m.Pod).CopyTo(pd.ResourceProfiles().At(0).Resource().Attributes())
		groups, err := profile.Split(pd, time.Second, profile.Limits{})
		require.NoError(t, err)
		require.Len(t, groups.Groups, 1)
		assert.Equal(t, m.Start, groups.Groups[0].Start)
		addGroups(files, groups)
	})
	g.Batch(0, 2)
	assert.Equal(t, g.Sums().Profiles, profiles)
	require.NoError(t, g.Sums().Compare(seen))
	require.NoError(t, g.Sums().Compare(files))
}

func TestEachStack(t *testing.T) {
	c := small(t)
	g := c.NewGenerator()
	g.Batch(0, 1)
	names := make(map[uint64][]string)
	for service := range 8 {
		for _, kind := range []string{KindCPU, KindMemory} {
			c.EachStack(service, kind, func(key uint64, functions []string) { names[key] = slices.Clone(functions) })
		}
	}
	for k := range g.Sums().ByKey {
		require.NotEmpty(t, names[k.Stack])
	}
	c.EachStack(7, KindMemory, func(uint64, []string) { t.Error("what runs Node.js has no memory profiles") })
}

func TestLabels(t *testing.T) {
	c := small(t)
	name, ok := c.Labels(3, 1).Get("service.name")
	require.True(t, ok)
	assert.Equal(t, c.Service(3), name.Str())
	a, _ := c.Labels(3, 0).Get("k8s.pod.name")
	b, _ := c.Labels(3, 1).Get("k8s.pod.name")
	assert.NotEqual(t, a.Str(), b.Str())
}

// addGroups sums groups by key.
func addGroups(to map[Key]int64, groups *profile.Groups) {
	for _, group := range groups.Groups {
		for _, e := range group.Entries {
			var folded []byte
			for i, f := range groups.Dict.Stacks[e.Stack] {
				if i > 0 {
					folded = append(folded, ';')
				}
				frame := &groups.Dict.Frames[f]
				folded = AppendFrame(folded, frame.Function.Name, frame.Line, frame.Address)
			}
			for i, vt := range group.Types {
				if e.Values[i] != 0 {
					to[Key{group.Series.Service, group.Kind, vt.Type, StackKey(folded)}] += e.Values[i]
				}
			}
		}
	}
}
