package flamebearer

import (
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestGraph(t *testing.T) {
	tree := build(map[string]int64{"main;b;x": 4, "main;a": 1, "main;a;y": 2, "init": 3})
	assert.Equal(t, &Graph{
		// From the right: main before init, below main b before a.
		Names:   []string{"total", "main", "b", "x", "a", "y", "init"},
		Levels:  [][]int64{{0, 10, 0, 0}, {0, 3, 3, 6, 0, 7, 0, 1}, {3, 3, 1, 4, 0, 4, 0, 2}, {4, 2, 2, 5, 0, 4, 4, 3}},
		Total:   10,
		MaxSelf: 4,
	}, tree.Graph(0))
	assert.Equal(t, tree.Graph(0), tree.Graph(6), "as many as there are")
	// The third largest is 4; three have 3 or less.
	assert.Equal(t, [][]int64{{0, 10, 0, 0}, {0, 7, 0, 2, 0, 3, 3, 1}, {0, 4, 0, 3, 0, 3, 3, 1}, {0, 4, 4, 4}}, tree.Graph(3).Levels)
	assert.Equal(t, []string{"total", "other", "main", "b", "x"}, tree.Graph(3).Names)
}

func TestGraphOfNothing(t *testing.T) {
	g := build(nil).Graph(10)
	assert.Equal(t, &Graph{Names: []string{"total"}, Levels: [][]int64{{0, 0, 0, 0}}}, g)
	g = Compare(build(nil), build(nil)).Graph(10)
	assert.Equal(t, &Graph{Names: []string{"total"}, Levels: [][]int64{{0, 0, 0, 0, 0, 0, 0}}}, g)
	assert.Empty(t, build(nil).AppendTree(nil, 10))
}

func TestCompare(t *testing.T) {
	g := Compare(build(map[string]int64{"main;a": 4, "main;c": 1}), build(map[string]int64{"main;b": 2, "main;c": 8})).Graph(0)
	assert.Equal(t, &Graph{
		Names:  []string{"total", "main", "c", "b", "a"},
		Levels: [][]int64{{0, 5, 0, 0, 10, 0, 0}, {0, 5, 0, 0, 10, 0, 1}, {0, 4, 4, 0, 0, 0, 4, 0, 0, 0, 0, 2, 2, 3, 0, 1, 1, 0, 8, 8, 2}},
		Total:  15, Left: 5, Right: 10, MaxSelf: 8,
	}, g)
}

func TestAppendTree(t *testing.T) {
	got := build(map[string]int64{"a;b": 200, "a;z": 1, "": 7}).AppendTree([]byte("x"), 2)
	want := "x" + "\x00\x07\x01" + "\x01a\x00\x02" + "\x01b\xc8\x01\x00" + "\x05other\x01\x00"
	require.Equal(t, want, string(got))
}

func TestScaled(t *testing.T) {
	f := func(a, b, want int64) {
		t.Helper()
		assert.Equal(t, want, Scaled(a, b))
	}
	f(3, 10_000_000, 30_000_000)
	f(-3, 7, -21)
	f(0, math.MaxInt64, 0)
	f(math.MinInt64, 1, math.MinInt64)
	f(1<<56, 1<<20, math.MaxInt64)
	f(-1<<56, 1<<20, math.MinInt64)
	f(math.MinInt64, 2, math.MinInt64)
}

func TestKept(t *testing.T) {
	tree := build(map[string]int64{"main;a;x": 5, "main;b": 3, "main;c": 1})
	assert.Nil(t, tree.Kept(5))
	k := tree.Kept(3)
	depth := func(names ...string) int {
		return k.Depth(func(i int) (string, bool) {
			if i == len(names) {
				return "", false
			}
			return names[i], true
		})
	}
	assert.Equal(t, 3, depth("main", "a", "x"))
	assert.Equal(t, 1, depth("main", "b"))
	assert.Equal(t, 0, depth("nowhere"))
}
