package flamebearer

import (
	"encoding/binary"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/internal/flame"
	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// build returns the tree of stacks, whose names are divided by semicolons from the root
// on.
func build(stacks map[string]int64) *Tree {
	m := &profilestore.Merge{Kinds: make([]profilestore.KindMerge, 1)}
	for text, v := range stacks {
		var s profilestore.Stack
		if text != "" {
			for _, name := range slices.Backward(strings.Split(text, ";")) {
				s.Frames = append(s.Frames, &profile.Frame{Function: profile.Function{Name: name}})
			}
		}
		row := profilestore.Row{Stack: int32(len(m.Stacks))}
		row.Values[1] = v
		m.Kinds[0].Rows = append(m.Kinds[0].Rows, row)
		m.Stacks = append(m.Stacks, s)
	}
	return New(flame.Build(m, &m.Kinds[0], flame.Options{}), 1, 1)
}

// refNode is a node of the obvious implementation: maps and recursion, with absolute
// positions that are turned into distances last.
type refNode struct {
	name        string
	self, total [2]int64
	callees     map[string]*refNode
}

func (n *refNode) callee(name string) *refNode {
	if n.callees == nil {
		n.callees = make(map[string]*refNode)
	}
	if n.callees[name] == nil {
		n.callees[name] = &refNode{name: name}
	}
	return n.callees[name]
}

func refTree(sides ...map[string]int64) *refNode {
	root := &refNode{}
	for side, stacks := range sides {
		for text, v := range stacks {
			n := root
			n.total[side] += v
			if text != "" {
				for _, name := range strings.Split(text, ";") {
					n = n.callee(name)
					n.total[side] += v
				}
			}
			n.self[side] += v
		}
	}
	return root
}

func (n *refNode) weights() (out []int64) {
	for _, c := range n.callees {
		out = append(append(out, max(c.total[0], c.total[1])), c.weights()...)
	}
	return out
}

// cut replaces what is truncated.
func (n *refNode) cut(threshold int64) {
	var other *refNode
	for _, name := range slices.Collect(maps.Keys(n.callees)) {
		c := n.callees[name]
		if max(c.total[0], c.total[1]) >= threshold && name != Other {
			c.cut(threshold)
			continue
		}
		delete(n.callees, name)
		if other == nil {
			other = &refNode{name: Other}
		}
		for side := range other.self {
			other.total[side] += c.total[side]
			other.self[side] = other.total[side]
		}
	}
	if other != nil {
		n.callees[Other] = other
	}
}

// ordered returns the callees by name; for graphs, other is the last.
func (n *refNode) ordered(otherLast bool) (out []*refNode) {
	for _, name := range slices.Sorted(maps.Keys(n.callees)) {
		if name != Other || !otherLast {
			out = append(out, n.callees[name])
		}
	}
	if o := n.callees[Other]; o != nil && otherLast {
		out = append(out, o)
	}
	return out
}

// refGraph encodes by the rules as they are written down.
func refGraph(root *refNode, sides int, maxNodes int64) *Graph {
	var threshold int64
	if w := root.weights(); maxNodes > 0 && int64(len(w)) > maxNodes {
		slices.Sort(w)
		threshold = w[int64(len(w))-maxNodes]
	}
	root.cut(threshold)
	out := &Graph{}
	type at struct {
		begin [2]int64
		node  *refNode
	}
	var rows [][]at
	var place func(n *refNode, begin [2]int64, depth int)
	place = func(n *refNode, begin [2]int64, depth int) {
		if depth == len(rows) {
			rows = append(rows, nil)
		}
		rows[depth] = append(rows[depth], at{begin, n})
		for side := range begin {
			begin[side] += n.self[side]
		}
		for _, c := range n.ordered(true) {
			place(c, begin, depth+1)
			for side := range begin {
				begin[side] += c.total[side]
			}
		}
	}
	place(root, [2]int64{}, 0)
	var name func(n *refNode)
	name = func(n *refNode) {
		text := n.name
		if n == root {
			text = "total"
		}
		if !slices.Contains(out.Names, text) {
			out.Names = append(out.Names, text)
		}
		for _, c := range slices.Backward(n.ordered(true)) {
			name(c)
		}
	}
	name(root)
	for _, row := range rows {
		var level []int64
		var end [2]int64
		for _, b := range row {
			for side := range sides {
				level = append(level, b.begin[side]-end[side], b.node.total[side], b.node.self[side])
				end[side] = b.begin[side] + b.node.total[side]
				out.MaxSelf = max(out.MaxSelf, b.node.self[side])
			}
			i := slices.Index(out.Names, b.node.name)
			if b.node == root {
				i = 0
			}
			level = append(level, int64(i))
		}
		out.Levels = append(out.Levels, level)
	}
	out.Total = root.total[0]
	if sides == 2 {
		out.Left, out.Right, out.Total = root.total[0], root.total[1], root.total[0]+root.total[1]
	}
	return out
}

func refBytes(b []byte, n *refNode) []byte {
	b = append(binary.AppendUvarint(b, uint64(len(n.name))), n.name...)
	b = binary.AppendUvarint(b, uint64(n.self[0]))
	b = binary.AppendUvarint(b, uint64(len(n.callees)))
	for _, c := range n.ordered(false) {
		b = refBytes(b, c)
	}
	return b
}

// randomStacks are of few names, so that paths meet, with values of which many are
// equal, and one name that is taken.
func randomStacks(r *rand.Rand) map[string]int64 {
	out := make(map[string]int64)
	names := []string{"a", "b", "c", "main", Other, "z;y", "ä", "zz"}
	for range r.IntN(40) {
		var stack []string
		for range r.IntN(8) {
			stack = append(stack, names[r.IntN(len(names))])
		}
		out[strings.Join(stack, ";")] += 1 + r.Int64N(5)*r.Int64N(4)
	}
	return out
}

func TestEqualsReference(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 1))
		left, right := randomStacks(r), randomStacks(r)
		for _, maxNodes := range []int64{0, 1, 2, 5, 10, 1000} {
			name := fmt.Sprintf("seed %d, %d nodes", seed, maxNodes)
			require.Equal(t, refGraph(refTree(left), 1, maxNodes), build(left).Graph(maxNodes), name)
			require.Equal(t, refGraph(refTree(left, right), 2, maxNodes), Compare(build(left), build(right)).Graph(maxNodes), name)
			want := refTree(left)
			refGraph(want, 1, maxNodes) // truncates
			var text []byte
			if len(want.callees) > 0 {
				text = refBytes(nil, want)
			}
			require.Equal(t, text, build(left).AppendTree(nil, maxNodes), name)
		}
	}
}
