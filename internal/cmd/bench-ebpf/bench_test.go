package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestCompleteBurn(t *testing.T) {
	callers := append(slices.Repeat([]string{"recurse"}, burnDepth+1), "worker", "start_thread", "")
	with := func(leaf ...string) []string { return append(leaf, callers...) }
	for _, complete := range [][]string{
		with("leaf_a", "mid"), with("mid"), callers, callers[3:], callers[burnDepth+1:],
	} {
		assert.True(t, completeBurn(complete), "%q", complete)
	}
	for _, broken := range [][]string{
		nil,
		{"leaf_a"},
		with("leaf_a"), // the caller of a function without a frame is lost
		with("leaf_a", "mid", "recurse"),
		with("leaf_b", "mid")[:10],
		with("leaf_b", "mid")[:5],
		append(with("leaf_c", "mid"), "main"),
		append([]string{"mid"}, callers[1:]...),
	} {
		assert.False(t, completeBurn(broken), "%q", broken)
	}
}

func TestShares(t *testing.T) {
	var s shares
	for leaf, n := range map[string]int64{"leaf_a": 52, "leaf_b": 28, "leaf_c": 20, "mid": 100} {
		s.add([]string{leaf}, n)
	}
	assert.InDelta(t, 2, s.worst(), 1e-9)
	assert.Zero(t, s.completeShare())
	assert.EqualValues(t, 200, s.samples)
}

func TestMetricsSum(t *testing.T) {
	const text = `# TYPE lost counter
lost{profile="cpu",reason="a"} 1
lost{profile="cpu",reason="b"} 2
lost{profile="lock",reason="a"} 4
`
	parser := expfmt.NewTextParser(model.UTF8Validation)
	all, err := parser.TextToMetricFamilies(strings.NewReader(text))
	require.NoError(t, err)
	m := metrics(all)
	assert.InDelta(t, 7, m.sum("lost"), 0)
	assert.InDelta(t, 3, m.sum("lost", "profile", "cpu"), 0)
	assert.InDelta(t, 1, m.sum("lost", "profile", "cpu", "reason", "a"), 0)
	assert.Zero(t, m.sum("absent"))
}

func TestField(t *testing.T) {
	n, err := field("map_type:\t1\nmap_id:\t 42\n", "map_id")
	require.NoError(t, err)
	assert.EqualValues(t, 42, n)
	_, err = field("pos: 0\n", "map_id")
	require.Error(t, err)
}
