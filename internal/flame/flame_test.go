package flame

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

// merge builds a merge of one kind out of stacks written root first, parted by
// `;`. A frame is `name` or `name@module`.
func merge(values map[string]int64) (*profilestore.Merge, *profilestore.KindMerge) {
	m := &profilestore.Merge{Kinds: []profilestore.KindMerge{{Kind: profile.KindCPU}}}
	k := &m.Kinds[0]
	frames := map[string]*profile.Frame{}
	for _, folded := range slices.Sorted(maps.Keys(values)) {
		var s profilestore.Stack
		for _, text := range slices.Backward(strings.Split(folded, ";")) {
			if text == "" {
				continue
			}
			if frames[text] == nil {
				name, module, _ := strings.Cut(text, "@")
				frames[text] = &profile.Frame{Function: profile.Function{Name: name}, Mapping: module}
			}
			s.Frames = append(s.Frames, frames[text])
		}
		k.Rows = append(k.Rows, profilestore.Row{
			Stack:  int32(len(m.Stacks)),
			Values: Values{values[folded], 2 * values[folded]},
		})
		m.Stacks = append(m.Stacks, s)
	}
	return m, k
}

func folded(t *testing.T, tree *Tree, value int) string {
	t.Helper()
	var b strings.Builder
	require.NoError(t, tree.WriteFolded(&b, value))
	return b.String()
}

func TestFolded(t *testing.T) {
	for _, c := range []struct {
		name   string
		values map[string]int64
		want   string
	}{
		{"nothing", nil, ""},
		{"one frame", map[string]int64{"a": 1}, "a 1\n"},
		{"no stack", map[string]int64{"": 5, "a": 1}, "a 1\n"},
		{"inner and leaf", map[string]int64{"a": 1, "a;b": 2, "a;b;c": 3}, "a 1\na;b 2\na;b;c 3\n"},
		{"siblings sorted", map[string]int64{"a;z": 1, "a;b;y": 2, "a;b;x": 3, "c": 4}, "a;b;x 3\na;b;y 2\na;z 1\nc 4\n"},
		{"equal names of different modules", map[string]int64{"a@m;b@m": 1, "a@n;b@o": 2}, "a;b 3\n"},
		{"recursion", map[string]int64{"a;a;a": 1, "a;a": 2}, "a;a 2\na;a;a 1\n"},
		{"zero", map[string]int64{"a": 0}, ""},
		{"back up several levels", map[string]int64{"a;b;c;d": 1, "e;f": 2}, "a;b;c;d 1\ne;f 2\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, k := merge(c.values)
			tree := Build(m, k, Options{})
			assert.Equal(t, c.want, folded(t, tree, 0))
		})
	}
}

func TestByModule(t *testing.T) {
	m, k := merge(map[string]int64{"a@/usr/lib/n;b": 2, "a@/opt/m;b": 1})
	tree := Build(m, k, Options{ByModule: true})
	require.Len(t, tree.Nodes, 5)
	first := tree.Nodes[tree.Nodes[0].Child]
	second := tree.Nodes[first.Sibling]
	assert.Equal(t, "m", tree.Symbols[first.Symbol].Module)
	assert.Equal(t, "n", tree.Symbols[second.Symbol].Module)
	assert.EqualValues(t, 1, tree.Total(tree.Nodes[0].Child, 0))
	assert.EqualValues(t, 4, tree.Total(first.Sibling, 1))
	assert.Zero(t, tree.Total(0, 2))
}

func TestRootKeepsStacklessUnlessSkipped(t *testing.T) {
	m, k := merge(map[string]int64{"": 5, "a": 1})
	tree := Build(m, k, Options{})
	assert.EqualValues(t, 5, tree.Self(0, 0))
	assert.EqualValues(t, 10, tree.Self(0, 1))
	assert.EqualValues(t, 6, tree.Total(0, 0))
	assert.EqualValues(t, 12, tree.Total(0, 1))
	tree = Build(m, k, Options{SkipEmpty: true})
	assert.Zero(t, tree.Self(0, 0))
	assert.EqualValues(t, 1, tree.Total(0, 0))
}

func TestNames(t *testing.T) {
	assert.Equal(t, "0x401000", Name(&profile.Frame{Address: 0x401000}))
	assert.Equal(t, "f", Name(&profile.Frame{Address: 1, Function: profile.Function{Name: "f"}}))
	assert.Equal(t, "libc.so.6", Module(&profile.Frame{Mapping: "/usr/lib/libc.so.6"}))
	assert.Equal(t, "[kernel]", Module(&profile.Frame{Mapping: "[kernel]"}))
	assert.Empty(t, Module(&profile.Frame{}))
	for in, want := range map[string]string{
		"operator new(unsigned long)": "operator new(unsigned long)",
		"a;b\nc\td\x7f":               "a:b c d ",
		"größe\u0085\u2028":           "größe  ",
		"bad\xff":                     "bad\ufffd",
		"":                            "",
	} {
		assert.Equal(t, want, FoldedName(in), "%q", in)
	}
}

// reference builds the same lines with nothing but maps.
func reference(m *profilestore.Merge, k *profilestore.KindMerge) map[string]int64 {
	lines := map[string]int64{}
	for _, row := range k.Rows {
		var names []string
		for _, f := range slices.Backward(m.Stacks[row.Stack].Frames) {
			names = append(names, FoldedName(Name(f)))
		}
		if len(names) > 0 {
			lines[strings.Join(names, ";")] += row.Values[0]
		}
	}
	return lines
}

func TestBuildEqualsReference(t *testing.T) {
	for seed := range uint64(30) {
		m, k := random(rand.New(rand.NewPCG(seed, 1)), 200, 12)
		want := reference(m, k)
		tree := Build(m, k, Options{Rename: FoldedName})
		got := map[string]int64{}
		for line := range strings.Lines(folded(t, tree, 0)) {
			i := strings.LastIndexByte(line, ' ')
			var v int64
			_, err := fmt.Sscan(line[i:], &v)
			require.NoError(t, err)
			require.NotContains(t, got, line[:i])
			got[line[:i]] = v
		}
		require.Equal(t, want, got)

		// The order of the rows makes no difference.
		rand.New(rand.NewPCG(seed, 2)).Shuffle(len(k.Rows), func(i, j int) { k.Rows[i], k.Rows[j] = k.Rows[j], k.Rows[i] })
		require.Equal(t, folded(t, tree, 0), folded(t, Build(m, k, Options{Rename: FoldedName}), 0))
		for i, n := range tree.Nodes[1:] {
			require.Less(t, int(n.Parent), i+1)
		}
	}
}

// random makes n stacks of about depth frames. As in real programs most of a
// stack is shared with another one: each leaves an earlier one near its leaf.
func random(r *rand.Rand, n, depth int) (*profilestore.Merge, *profilestore.KindMerge) {
	frames := make([]*profile.Frame, 4000)
	for i := range frames {
		frames[i] = &profile.Frame{Address: uint64(0x400000 + i*16), Mapping: "/usr/bin/app"}
		if i%20 != 0 {
			frames[i].Function.Name = fmt.Sprintf("main.(*thing%d).function%d", i%7, i%3000)
		}
	}
	m := &profilestore.Merge{Kinds: []profilestore.KindMerge{{Kind: profile.KindCPU}}}
	k := &m.Kinds[0]
	var paths [][]*profile.Frame
	for i := range n {
		var path []*profile.Frame
		if i > 0 {
			other := paths[r.IntN(i)]
			path = append(path, other[:max(0, len(other)-1-min(r.IntN(depth), r.IntN(depth), r.IntN(depth)))]...)
		}
		for length := depth/2 + r.IntN(depth); len(path) < length; {
			path = append(path, frames[min(r.IntN(len(frames)), r.IntN(len(frames)))])
		}
		if len(path) == 0 {
			path = append(path, frames[0])
		}
		paths = append(paths, path)
		leafFirst := slices.Clone(path)
		slices.Reverse(leafFirst)
		m.Stacks = append(m.Stacks, profilestore.Stack{Frames: leafFirst})
		v := int64(1 + r.IntN(100))
		k.Rows = append(k.Rows, profilestore.Row{Stack: int32(i), Values: Values{v}, Count: uint64(v)})
		k.Totals[0] += v
	}
	return m, k
}

type failingWriter struct{ after int }

func (w *failingWriter) Write(b []byte) (int, error) {
	if w.after -= len(b); w.after < 0 {
		return 0, errFull
	}
	return len(b), nil
}

var errFull = errors.New("full")

func TestWriteFoldedStopsAtErrors(t *testing.T) {
	m, k := random(rand.New(rand.NewPCG(1, 1)), 2000, 30)
	tree := Build(m, k, Options{})
	for _, after := range []int{0, 1, 100_000} {
		require.ErrorIs(t, tree.WriteFolded(&failingWriter{after: after}, 0), errFull)
	}
}
