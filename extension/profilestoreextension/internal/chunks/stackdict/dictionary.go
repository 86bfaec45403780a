package stackdict

import (
	"encoding/binary"
	"math/bits"
	"math/rand/v2"
	"slices"
	"sync"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/layout"
	"github.com/aperture-collector/aperture-collector/internal/profile"
)

// Limits of a dictionary. An author begins another one before it reaches them.
const (
	// MaxStacks, MaxNodes and MaxLocations bound the numbers of them.
	MaxStacks    = 1 << 20
	MaxNodes     = 1 << 24
	MaxLocations = 1 << 22
	// MaxDepth is the largest number of frames of a stack.
	MaxDepth = 1 << 14
	// MaxFrames is the largest number of frames of all stacks together.
	MaxFrames = 1 << 27
	// MaxSegments bounds the segments.
	MaxSegments = 1 << 16
)

// Dictionary is the stacks of one dictionary, or the first so many of them. It
// never changes, and is safe for concurrent use: one with more stacks is another
// Dictionary, in which all numbers mean the same.
//
// Stacks are nodes of a tree. Node 0 is the root and has no frame; a node has a
// larger number than its parent. Stack 0 is the empty one, node 0.
type Dictionary struct {
	parents   []uint32
	frames    []uint32 // the location of each node
	depths    []uint16
	locations []profile.ID
	nodes     []uint32 // of each stack
	ids       []profile.ID
	total     int64 // frames of all stacks
	segments  uint32
	index     *index
}

// index finds stacks by their ids. It is shared by all that one dictionary was, and
// made when it is first asked.
type index struct {
	mu    sync.Mutex
	ids   []profile.ID // of the stacks that are in it
	slots []uint32     // the number of a stack plus 1, 0 where there is none
	seed  uint64
}

// empty returns a dictionary of the empty stack.
func empty() *Dictionary {
	return &Dictionary{
		parents: make([]uint32, 1), frames: make([]uint32, 1), depths: make([]uint16, 1),
		nodes: make([]uint32, 1), ids: make([]profile.ID, 1), index: new(index),
	}
}

// Len returns the number of stacks, the empty one too: all are less than it.
func (d *Dictionary) Len() int { return len(d.nodes) }

// IDs returns the content hash of each stack. It must not be changed.
func (d *Dictionary) IDs() []profile.ID { return d.ids }

// Parents returns the parent of each node of the tree; that of the root means
// nothing. It must not be changed.
func (d *Dictionary) Parents() []uint32 { return d.parents }

// NodeLocations returns an index into LocationIDs for each node but the root. It
// must not be changed.
func (d *Dictionary) NodeLocations() []uint32 { return d.frames }

// LocationIDs returns the content hashes of all locations, each once. It must not
// be changed.
func (d *Dictionary) LocationIDs() []profile.ID { return d.locations }

// Nodes returns the node of the leaf of each stack. It must not be changed.
func (d *Dictionary) Nodes() []uint32 { return d.nodes }

// AppendLocations appends the ids of the locations of a stack, leaf first.
func (d *Dictionary) AppendLocations(dst []profile.ID, stack uint32) []profile.ID {
	for n := d.nodes[stack]; n != 0; n = d.parents[n] {
		dst = append(dst, d.locations[d.frames[n]])
	}
	return dst
}

// Stack returns the number of a stack by its id.
func (d *Dictionary) Stack(id profile.ID) (uint32, bool) {
	d.index.mu.Lock()
	defer d.index.mu.Unlock()
	return d.stack(id)
}

// stack is Stack for who holds the lock of the index.
func (d *Dictionary) stack(id profile.ID) (uint32, bool) {
	x := d.index
	if len(x.ids) < len(d.ids) {
		x.grow(d.ids)
	}
	mask := uint64(len(x.slots) - 1)
	for at := x.hash(id) & mask; x.slots[at] != 0; at = (at + 1) & mask {
		if n := x.slots[at] - 1; x.ids[n] == id {
			return n, int(n) < len(d.ids)
		}
	}
	return 0, false
}

// grow adds the stacks that are not in the index yet, the last ones of ids.
func (x *index) grow(ids []profile.ID) {
	first, slots := len(x.ids), max(16, len(x.slots))
	for 2*slots < 3*len(ids) {
		slots *= 2
	}
	if slots != len(x.slots) {
		// Whoever sends profiles can choose ids: the seed keeps them from choosing who
		// shares a slot.
		first, x.slots, x.seed = 0, make([]uint32, slots), rand.Uint64()|1
	}
	x.ids = ids
	mask := uint64(slots - 1)
	for i := first; i < len(ids); i++ {
		at := x.hash(ids[i]) & mask
		for x.slots[at] != 0 {
			at = (at + 1) & mask
		}
		x.slots[at] = uint32(i) + 1
	}
}

func (x *index) hash(id profile.ID) uint64 {
	hi, lo := bits.Mul64(id.Lo^x.seed, id.Hi^x.seed^0x9e3779b97f4a7c15)
	return hi ^ lo
}

// clone returns a copy that can be extended on its own.
func (d *Dictionary) clone() *Dictionary {
	out := *d
	out.parents, out.frames, out.depths = slices.Clone(d.parents), slices.Clone(d.frames), slices.Clone(d.depths)
	out.locations, out.nodes, out.ids = slices.Clone(d.locations), slices.Clone(d.nodes), slices.Clone(d.ids)
	out.index = new(index)
	return &out
}

// bytes returns about how much memory it takes.
func (d *Dictionary) bytes() int64 {
	const perNode, perStack, indexed = 4 + 4 + 2, 4 + 16, 9
	return int64(512 + perNode*len(d.parents) + (perStack+indexed)*len(d.ids) + 16*len(d.locations))
}

// extend returns d with one more segment. It may be called once for each d: both
// share memory. An error wraps [ErrInvalid]; d is still good then.
func (d *Dictionary) extend(s *Segment) (*Dictionary, error) {
	if err := d.check(s); err != nil {
		return nil, err
	}
	out := *d
	for _, id := range s.Locations {
		out.locations = append(out.locations, layout.FromID(id))
	}
	for i, up := range s.Up {
		self := uint32(len(out.parents))
		if up == 0 || up > self {
			return nil, invalid("node %d: parent is %d below; must be 1 to %d", self, up, self)
		}
		if s.Frames[i] >= uint32(len(out.locations)) {
			return nil, invalid("node %d: location %d; there are %d", self, s.Frames[i], len(out.locations))
		}
		depth := out.depths[self-up] + 1
		if depth > MaxDepth {
			return nil, invalid("node %d: depth %d; must be at most %d", self, depth, MaxDepth)
		}
		out.parents = append(out.parents, self-up)
		out.frames = append(out.frames, s.Frames[i])
		out.depths = append(out.depths, depth)
	}
	if err := out.addStacks(s); err != nil {
		return nil, err
	}
	return &out, nil
}

func (d *Dictionary) check(s *Segment) error {
	switch {
	case s.Seq != d.segments+1 || s.Seq > MaxSegments:
		return invalid("seq %d; must be %d and at most %d", s.Seq, d.segments+1, MaxSegments)
	case int(s.First) != len(d.nodes), int(s.FirstNode) != len(d.parents), int(s.FirstLocation) != len(d.locations):
		return invalid("first stack %d, node %d and location %d; must be %d, %d and %d",
			s.First, s.FirstNode, s.FirstLocation, len(d.nodes), len(d.parents), len(d.locations))
	case len(s.Up) != len(s.Frames):
		return invalid("%d parents for %d nodes", len(s.Up), len(s.Frames))
	case len(d.parents)+len(s.Up) > MaxNodes:
		return invalid("%d nodes; the limit is %d", len(d.parents)+len(s.Up), MaxNodes)
	case len(d.locations)+len(s.Locations) > MaxLocations:
		return invalid("%d locations; the limit is %d", len(d.locations)+len(s.Locations), MaxLocations)
	case len(d.nodes)+len(s.Nodes) > MaxStacks:
		return invalid("%d stacks; the limit is %d", len(d.nodes)+len(s.Nodes), MaxStacks)
	}
	return nil
}

// addStacks adds those of a segment whose nodes are there. Ids are not stored: they
// follow from the locations. The checksum says that they are what the author saw.
func (d *Dictionary) addStacks(s *Segment) error {
	var path []profile.ID
	var scratch []byte
	sum := newChecksum()
	for i, n := range s.Nodes {
		if n == 0 || int(n) >= len(d.parents) {
			return invalid("stack %d: node %d; must be 1 to %d", len(d.nodes), n, len(d.parents)-1)
		}
		if d.total += int64(d.depths[n]); d.total > MaxFrames {
			return invalid("stack %d: more than %d frames", len(d.nodes), MaxFrames)
		}
		d.nodes = append(d.nodes, n)
		path = d.AppendLocations(path[:0], uint32(len(d.nodes)-1))
		var id profile.ID
		id, scratch = profile.StackID(path, scratch)
		if i > 0 && id.Compare(d.ids[len(d.ids)-1]) <= 0 {
			return invalid("stack %d is not above the one before", len(d.nodes)-1)
		}
		d.ids = append(d.ids, id)
		sum = sum.add(id)
	}
	if uint64(sum) != s.Checksum {
		return invalid("checksum of %d stacks is %016x; must be %016x", len(s.Nodes), uint64(sum), s.Checksum)
	}
	d.segments++
	return nil
}

// checksum is that of ids, one after the other.
type checksum uint64

func newChecksum() checksum { return 0 }

func (c checksum) add(id profile.ID) checksum {
	var b [24]byte
	binary.LittleEndian.PutUint64(b[:], uint64(c))
	binary.LittleEndian.PutUint64(b[8:], id.Hi)
	binary.LittleEndian.PutUint64(b[16:], id.Lo)
	return checksum(profile.HashBytes(b[:]).Lo)
}
