package stackdict

import (
	"errors"
	"fmt"

	"github.com/ClickHouse/ch-go/proto"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chconn"
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

// columns are those of the table, for both directions.
type columns struct {
	service           *proto.ColLowCardinality[string]
	dictionary        proto.ColUInt64
	seq, first        proto.ColUInt32
	firstNode         proto.ColUInt32
	firstLocation     proto.ColUInt32
	checksum          proto.ColUInt64
	locations         chconn.Array[proto.UInt128, proto.ColUInt128, *proto.ColUInt128]
	up, frames, nodes chconn.Array[uint32, proto.ColUInt32, *proto.ColUInt32]
}

func newColumns() *columns {
	c := &columns{service: proto.NewLowCardinality[string](new(proto.ColStr))}
	for _, a := range []interface{ Init() }{&c.locations, &c.up, &c.frames, &c.nodes} {
		a.Init()
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
	c.locations.Add(s.Locations)
	c.up.Add(s.Up)
	c.frames.Add(s.Frames)
	c.nodes.Add(s.Nodes)
}

// segment returns a row, which shares the memory of the columns.
func (c *columns) segment(i int) Segment {
	return Segment{
		Seq: c.seq[i], First: c.first[i], FirstNode: c.firstNode[i], FirstLocation: c.firstLocation[i],
		Checksum: c.checksum[i], Locations: c.locations.Elements(i),
		Up: c.up.Elements(i), Frames: c.frames.Elements(i), Nodes: c.nodes.Elements(i),
	}
}
