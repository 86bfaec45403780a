package stackdict

import (
	"errors"
	"fmt"

	"github.com/ClickHouse/ch-go/proto"
)

// ErrInvalid is the cause of errors that say a segment cannot be what an author
// wrote.
var ErrInvalid = errors.New("invalid stack dictionary")

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrInvalid, fmt.Errorf(format, args...))
}

// Segment is what one insert added to a dictionary: a row of [Table]. Nodes and
// locations of earlier segments are referred to by their numbers.
type Segment struct {
	// Seq numbers the segments of a dictionary from 1.
	Seq uint32
	// First, FirstNode and FirstLocation are the numbers of the first new stack, node
	// and location.
	First, FirstNode, FirstLocation uint32
	// Checksum is that of the ids of the new stacks, in their order.
	Checksum uint64
	// Locations are the new ones.
	Locations []proto.UInt128
	// Up has for each new node how much less the number of its parent is, Frames
	// its location.
	Up, Frames []uint32
	// Nodes are those of the new stacks, in ascending order of their ids.
	Nodes []uint32
}

// array is an Array(T) column whose data is used in place.
type array[T any, S ~[]T, P interface {
	*S
	proto.ColumnOf[T]
}] struct {
	proto.ColArr[T]
	data S
}

func (a *array[T, S, P]) init() { a.Data = P(&a.data) }

func (a *array[T, S, P]) add(vs []T) {
	a.data = append(a.data, vs...)
	a.Offsets = append(a.Offsets, uint64(len(a.data)))
}

func (a *array[T, S, P]) row(i int) []T {
	first := uint64(0)
	if i > 0 {
		first = a.Offsets[i-1]
	}
	return a.data[first:a.Offsets[i]:a.Offsets[i]]
}

// columns are those of the table, for both directions.
type columns struct {
	service           *proto.ColLowCardinality[string]
	dictionary        proto.ColUInt64
	seq, first        proto.ColUInt32
	firstNode         proto.ColUInt32
	firstLocation     proto.ColUInt32
	checksum          proto.ColUInt64
	locations         array[proto.UInt128, proto.ColUInt128, *proto.ColUInt128]
	up, frames, nodes array[uint32, proto.ColUInt32, *proto.ColUInt32]
}

func newColumns() *columns {
	c := &columns{service: proto.NewLowCardinality[string](new(proto.ColStr))}
	for _, a := range []interface{ init() }{&c.locations, &c.up, &c.frames, &c.nodes} {
		a.init()
	}
	return c
}

// column is one of the table.
type column struct {
	name string
	data proto.Column
}

func (c *columns) all() []column {
	return []column{
		{"service", c.service},
		{"dictionary", &c.dictionary},
		{"seq", &c.seq},
		{"first", &c.first},
		{"first_node", &c.firstNode},
		{"first_location", &c.firstLocation},
		{"checksum", &c.checksum},
		{"locations", &c.locations},
		{"up", &c.up},
		{"frames", &c.frames},
		{"nodes", &c.nodes},
	}
}

func (c *columns) add(k Key, s *Segment) {
	c.service.Append(k.Service)
	c.dictionary = append(c.dictionary, k.ID)
	c.seq = append(c.seq, s.Seq)
	c.first = append(c.first, s.First)
	c.firstNode = append(c.firstNode, s.FirstNode)
	c.firstLocation = append(c.firstLocation, s.FirstLocation)
	c.checksum = append(c.checksum, s.Checksum)
	c.locations.add(s.Locations)
	c.up.add(s.Up)
	c.frames.add(s.Frames)
	c.nodes.add(s.Nodes)
}

// segment returns a row, which shares the memory of the columns.
func (c *columns) segment(i int) Segment {
	return Segment{
		Seq: c.seq[i], First: c.first[i], FirstNode: c.firstNode[i], FirstLocation: c.firstLocation[i],
		Checksum: c.checksum[i], Locations: c.locations.row(i),
		Up: c.up.row(i), Frames: c.frames.row(i), Nodes: c.nodes.row(i),
	}
}
