package flamebearer

import (
	"slices"
	"strings"
)

// Graph is a flame graph as rows of bars.
type Graph struct {
	// Names are what bars refer to; the first is "total". They are UTF-8, as protobuf
	// and JSON demand.
	Names []string
	// Levels are the rows from the root on, each with its bars from left to right. A
	// bar of a single profile is 4 numbers: its begin, counted from the end of the bar
	// before, its total, its self and the index of its name. A bar of a comparison is
	// 7: begin, total and self of the left side, those of the right side, and the name.
	Levels [][]int64
	// Total is the sum of everything; of a comparison it is that of both sides, Left
	// and Right, which are 0 for a single profile.
	Total, Left, Right int64
	// MaxSelf is the largest self of a bar.
	MaxSelf int64
}

// Graph returns the flame graph of about the maxNodes largest call paths, or of all if
// it is not positive. What is left out below a caller is one bar named [Other] behind
// its other callees.
func (t *Tree) Graph(maxNodes int64) *Graph {
	e := encoder{t: t, threshold: t.threshold(maxNodes), numbers: make([]int32, len(t.names)), other: -1}
	for i := range e.numbers {
		e.numbers[i] = -1
	}
	e.run()
	for _, level := range e.out.Levels {
		finish(level, t.sides)
	}
	e.out.Total = t.nodes[0].total[0]
	if t.sides == 2 {
		e.out.Left, e.out.Right = t.nodes[0].total[0], t.nodes[0].total[1]
		e.out.Total = e.out.Left + e.out.Right
	}
	return &e.out
}

type encoder struct {
	t         *Tree
	threshold int64
	out       Graph
	// numbers are the indices of names in out, -1 for those that were not met, other
	// that of Other.
	numbers []int32
	other   int32
	pending []bar
}

// bar is a node to be drawn.
type bar struct {
	node  *node
	other bool // node stands for what was truncated
	begin [2]int64
	level int
}

// run walks the tree from the right to the left, which is the order that names are
// numbered in. Rows come out from the right, too.
func (e *encoder) run() {
	e.pending = append(e.pending, bar{node: &e.t.nodes[0]})
	for len(e.pending) > 0 {
		b := e.pending[len(e.pending)-1]
		e.pending = e.pending[:len(e.pending)-1]
		if b.level == len(e.out.Levels) {
			e.out.Levels = append(e.out.Levels, nil)
		}
		level := e.out.Levels[b.level]
		for side := range e.t.sides {
			level = append(level, b.begin[side], b.node.total[side], b.node.self[side])
			e.out.MaxSelf = max(e.out.MaxSelf, b.node.self[side])
			b.begin[side] += b.node.self[side]
		}
		e.out.Levels[b.level] = append(level, int64(e.number(&b)))
		e.callees(&b)
	}
}

// callees puts what is below a bar in the queue. The begin of b is behind its self.
func (e *encoder) callees(b *bar) {
	var rest node
	next := bar{begin: b.begin, level: b.level + 1}
	for n := b.node.child; n != 0; n = e.t.nodes[n].sibling {
		next.node = &e.t.nodes[n]
		if !e.t.keeps(next.node, e.threshold) {
			rest.truncate(next.node)
			continue
		}
		e.pending = append(e.pending, next)
		for side := range e.t.sides {
			next.begin[side] += next.node.total[side]
		}
	}
	if !rest.empty() {
		next.node, next.other = &rest, true
		e.pending = append(e.pending, next)
	}
}

func (e *encoder) number(b *bar) int32 {
	number := &e.other
	name := Other
	if !b.other {
		number, name = &e.numbers[b.node.name], e.t.names[b.node.name]
	}
	if *number < 0 {
		*number = int32(len(e.out.Names))
		if len(e.out.Names) == 0 {
			name = "total"
		}
		e.out.Names = append(e.out.Names, strings.ToValidUTF8(name, "\ufffd"))
	}
	return *number
}

// finish turns a row round and counts begins from the ends of bars.
func finish(level []int64, sides int) {
	size := 3*sides + 1
	slices.Reverse(level)
	for i := 0; i < len(level); i += size {
		slices.Reverse(level[i : i+size])
	}
	for side := range sides {
		end := int64(0)
		for i := 3 * side; i < len(level); i += size {
			begin := level[i]
			level[i] -= end
			end = begin + level[i+1]
		}
	}
}
