package reader

import "github.com/aperture-collector/aperture-collector/internal/profile"

// generations is a cache bounded by bytes. Entries live in two generations:
// when the younger fills half of the budget it becomes the older, and what was
// in that is forgotten; entries that are used move to the younger. It is not
// safe for concurrent use.
type generations[V any] struct {
	young, old           map[profile.ID]V
	youngBytes, oldBytes int64
	budget               int64
	size                 func(V) int64
}

// entryOverhead is what a map entry costs beside its value's own memory: key,
// value header and free slots.
const entryOverhead = 80

func newGenerations[V any](budget int64, size func(V) int64) *generations[V] {
	return &generations[V]{young: make(map[profile.ID]V), budget: budget, size: size}
}

func (g *generations[V]) get(key profile.ID) (V, bool) {
	if v, ok := g.young[key]; ok {
		return v, true
	}
	v, ok := g.old[key]
	if ok {
		// The copy in old stays accounted there until old is dropped.
		g.put(key, v)
	}
	return v, ok
}

func (g *generations[V]) put(key profile.ID, v V) {
	n := g.size(v) + entryOverhead
	if n > g.budget/2 {
		return
	}
	if g.youngBytes+n > g.budget/2 {
		g.old, g.oldBytes = g.young, g.youngBytes
		g.young, g.youngBytes = make(map[profile.ID]V), 0
	}
	if _, ok := g.young[key]; !ok {
		g.youngBytes += n
	}
	g.young[key] = v
}

func (g *generations[V]) bytes() int64 { return g.youngBytes + g.oldBytes }

func (g *generations[V]) clear() {
	g.young, g.old = make(map[profile.ID]V), nil
	g.youngBytes, g.oldBytes = 0, 0
}
