package stackdict

import (
	"slices"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/layout"
	"github.com/aperture-collector/aperture-collector/internal/profile"
)

// stack is a stack by its id, with the ids of its locations, leaf first.
type stack struct {
	id        profile.ID
	locations []profile.ID
}

// builder adds stacks to a dictionary. It is not safe for concurrent use.
type builder struct {
	dict      *Dictionary
	children  map[child]uint32      // nodes
	locations map[profile.ID]uint32 // numbers
}

type child struct{ parent, location uint32 }

func newBuilder(d *Dictionary) *builder {
	b := &builder{
		dict: d, children: make(map[child]uint32, len(d.parents)), locations: make(map[profile.ID]uint32, len(d.locations)),
	}
	for i := 1; i < len(d.parents); i++ {
		b.children[child{d.parents[i], d.frames[i]}] = uint32(i)
	}
	for i, id := range d.locations {
		b.locations[id] = uint32(i)
	}
	return b
}

// bytes returns about how much memory it takes.
func (b *builder) bytes() int64 {
	return b.dict.bytes() + int64(24*len(b.children)+48*len(b.locations))
}

// room reports whether stacks can be added.
func (b *builder) room(stacks []stack) bool {
	frames := 0
	for i := range stacks {
		frames += len(stacks[i].locations)
	}
	d := b.dict
	return d.segments < MaxSegments && len(d.nodes)+len(stacks) <= MaxStacks && d.total+int64(frames) <= MaxFrames &&
		len(d.parents)+frames <= MaxNodes && (len(d.locations)+frames <= MaxLocations || len(d.locations)+b.others(stacks) <= MaxLocations)
}

// others returns how many locations of stacks the dictionary does not have.
func (b *builder) others(stacks []stack) int {
	found := make(map[profile.ID]struct{})
	for i := range stacks {
		for _, id := range stacks[i].locations {
			if _, ok := b.locations[id]; !ok {
				found[id] = struct{}{}
			}
		}
	}
	return len(found)
}

// build makes a segment of stacks that the dictionary does not have, of which none
// is there twice, and the dictionary with it. The builder goes on with that.
func (b *builder) build(stacks []stack) (*Segment, error) {
	s := &Segment{
		Seq: b.dict.segments + 1, First: uint32(len(b.dict.nodes)),
		FirstNode: uint32(len(b.dict.parents)), FirstLocation: uint32(len(b.dict.locations)),
	}
	// In order of their paths, root first: a node comes right before its first
	// child, and stacks below one function use locations of the same numbers.
	slices.SortFunc(stacks, func(x, y stack) int { return comparePaths(x.locations, y.locations) })
	type leaf struct {
		id   profile.ID
		node uint32
	}
	leaves := make([]leaf, len(stacks))
	for i := range stacks {
		leaves[i] = leaf{stacks[i].id, b.insert(s, stacks[i].locations)}
	}
	// In order of their ids: so are the entries of rows, whose stacks ascend then.
	slices.SortFunc(leaves, func(x, y leaf) int { return x.id.Compare(y.id) })
	sum := newChecksum()
	for _, l := range leaves {
		s.Nodes = append(s.Nodes, l.node)
		sum = sum.add(l.id)
	}
	s.Checksum = uint64(sum)
	d, err := b.dict.extend(s)
	if err != nil {
		return nil, err
	}
	b.dict = d
	return s, nil
}

// comparePaths orders stacks by their frames from the root on.
func comparePaths(x, y []profile.ID) int {
	for i := range min(len(x), len(y)) {
		if c := x[len(x)-1-i].Compare(y[len(y)-1-i]); c != 0 {
			return c
		}
	}
	return len(x) - len(y)
}

// insert returns the node of a stack, and makes those that are missing.
func (b *builder) insert(s *Segment, locations []profile.ID) uint32 {
	node := uint32(0)
	for i := len(locations) - 1; i >= 0; i-- {
		number, ok := b.locations[locations[i]]
		if !ok {
			number = uint32(len(b.locations))
			b.locations[locations[i]] = number
			s.Locations = append(s.Locations, layout.ID(locations[i]))
		}
		at := child{node, number}
		next, ok := b.children[at]
		if !ok {
			next = uint32(len(b.children) + 1)
			b.children[at] = next
			s.Up = append(s.Up, next-node)
			s.Frames = append(s.Frames, number)
		}
		node = next
	}
	return node
}
