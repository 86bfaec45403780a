package corpus

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pprofile"

	"github.com/aperture-collector/aperture-collector/internal/profile"
)

func small(t testing.TB) *Corpus {
	c, err := New(Config{Services: 8, Pods: 2, Tail: 500, Samples: 100})
	require.NoError(t, err)
	return c
}

func TestBatchIsDeterministic(t *testing.T) {
	marshal := func(pd pprofile.Profiles) []byte {
		b, err := (&pprofile.ProtoMarshaler{}).MarshalProfiles(pd)
		require.NoError(t, err)
		return b
	}
	a, b := small(t).NewGenerator(), small(t).NewGenerator()
	a.Batch(3, 1) // what was made before does not matter
	first, second := marshal(a.Batch(7, 1)), marshal(b.Batch(7, 1))
	assert.Equal(t, first, second)
	assert.NotEqual(t, first, marshal(b.Batch(8, 1)))
}

// The sums of a generator are those that the pipelines' own reading of the
// profiles gives.
func TestSumsAreThoseOfTheProfiles(t *testing.T) {
	g := small(t).NewGenerator()
	got := make(map[Key]int64)
	var samples, profiles uint64
	for tick := range 3 {
		pd := g.Batch(tick, 1)
		groups, err := profile.Split(pd, time.Second, profile.Limits{})
		require.NoError(t, err)
		for _, group := range groups.Groups {
			profiles++
			samples += uint64(len(group.Entries))
		}
		addGroups(got, groups)
	}
	require.NoError(t, g.Sums().Compare(got))
	assert.Equal(t, g.Sums().Profiles, profiles)
	assert.Equal(t, g.Sums().Samples, samples)
	assert.Equal(t, uint64(3*(8*2+7*2)), profiles, "one CPU profile of each pod, one memory profile of each pod that runs Go")
	assert.Positive(t, g.Sums().Stacks())
}

func TestCompareNamesDifferences(t *testing.T) {
	s := NewSums()
	s.ByKey[Key{"a", "cpu", "samples", 1}] = 5
	require.NoError(t, s.Compare(map[Key]int64{{"a", "cpu", "samples", 1}: 5}))
	require.ErrorContains(t, s.Compare(map[Key]int64{{"a", "cpu", "samples", 1}: 4}), "is 4 instead of 5")
	require.ErrorContains(t, s.Compare(nil), "is 0 instead of 5")
	require.ErrorContains(t, s.Compare(map[Key]int64{{"a", "cpu", "samples", 1}: 5, {"b", "cpu", "samples", 2}: 1}), "is 1 instead of 0")
}

func TestMerge(t *testing.T) {
	c := small(t)
	whole, even, odd := c.NewGenerator(), c.NewGenerator(), c.NewGenerator()
	whole.Batch(0, 4)
	for tick := range 4 {
		[]*Generator{even, odd}[tick%2].Batch(tick, 1)
	}
	sums := even.Sums()
	sums.Merge(odd.Sums())
	assert.Equal(t, whole.Sums(), sums)
}

// Draws follow the weights.
func TestPoolDraw(t *testing.T) {
	p := &pool{stacks: make([]stack, 4), weight: []float64{8, 4, 3, 1}}
	p.build()
	rng := rand.New(rand.NewPCG(1, 2))
	const n = 160_000
	var counts [4]float64
	for range n {
		counts[p.draw(rng)]++
	}
	for i, w := range p.weight {
		assert.InEpsilon(t, w/16*n, counts[i], 0.05)
	}
}

func TestCorpusIsShared(t *testing.T) {
	g := small(t).NewGenerator()
	for tick := range 20 {
		g.Batch(tick, 1)
	}
	assert.Greater(t, float64(g.Sums().Samples)/float64(g.Sums().Stacks()), 1.5, "samples share stacks")
}

func BenchmarkBatch(b *testing.B) {
	g := small(b).NewGenerator()
	b.ReportAllocs()
	for i := range b.N {
		require.Positive(b, g.Batch(i, 1).SampleCount())
	}
	b.ReportMetric(float64(g.Sums().Samples)/b.Elapsed().Seconds(), "samples/s")
}

func TestSamplerDepth(t *testing.T) {
	s := small(t).NewSampler(0, 12, 25)
	rng := rand.New(rand.NewPCG(1, 1))
	seen := make(map[*Frame]bool)
	for range 2000 {
		frames := s.Draw(rng)
		require.GreaterOrEqual(t, len(frames), 12)
		require.LessOrEqual(t, len(frames), 25)
		require.NotEmpty(t, frames[0].Function)
		seen[&frames[0]] = true
	}
	assert.Greater(t, len(seen), 200)
	assert.GreaterOrEqual(t, s.Len(), len(seen))
}
