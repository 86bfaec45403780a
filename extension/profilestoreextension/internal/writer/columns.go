package writer

import (
	"github.com/ClickHouse/ch-go/proto"

	"github.com/aperture-collector/aperture-collector/internal/profile"
)

// Column helpers. The data of arrays is appended to directly: ColArr would do
// it through an interface and from slices that we would have to make first.

type lowCardinality = proto.ColLowCardinality[string]

func newLowCardinality() *lowCardinality {
	return proto.NewLowCardinality[string](new(proto.ColStr))
}

// array is an Array(T) column whose data is appended to in place.
type array[T any, C proto.ColumnOf[T]] struct {
	data C
	proto.ColArr[T]
}

func newArray[T any, C proto.ColumnOf[T]](data C) array[T, C] {
	return array[T, C]{data: data, ColArr: proto.ColArr[T]{Data: data}}
}

// end closes the current row.
func (a *array[T, C]) end() {
	a.Offsets = append(a.Offsets, uint64(a.data.Rows()))
}

type idArray = array[proto.UInt128, *proto.ColUInt128]

func newIDs() idArray { return newArray[proto.UInt128](new(proto.ColUInt128)) }

// labelMap is a Map(LowCardinality(String), String) column.
type labelMap struct {
	proto.ColMap[string, string]
	keys   *lowCardinality
	values *proto.ColStr
}

func newLabelMap() labelMap {
	m := labelMap{keys: newLowCardinality(), values: new(proto.ColStr)}
	m.ColMap = proto.ColMap[string, string]{Keys: m.keys, Values: m.values}
	return m
}

func (m *labelMap) add(labels []profile.Label) {
	for _, l := range labels {
		m.keys.Append(l.Name)
		m.values.Append(l.Value)
	}
	m.Offsets = append(m.Offsets, uint64(m.values.Rows()))
}

// nanoseconds is a DateTime64(9) column. ch-go's own type asks the server for
// the type of the column and does not understand one that is wrapped in
// SimpleAggregateFunction, so its inference is left out here.
type nanoseconds struct{ col proto.ColDateTime64 }

func newNanoseconds() *nanoseconds {
	c := new(nanoseconds)
	c.col.WithPrecision(proto.PrecisionNano)
	return c
}

func (c *nanoseconds) add(ns int64) {
	c.col.Data = append(c.col.Data, proto.DateTime64(ns))
}

// Type implements [proto.ColInput], as do the other methods.
func (c *nanoseconds) Type() proto.ColumnType       { return c.col.Type() }
func (c *nanoseconds) Rows() int                    { return c.col.Rows() }
func (c *nanoseconds) EncodeColumn(b *proto.Buffer) { c.col.EncodeColumn(b) }
func (c *nanoseconds) WriteColumn(w *proto.Writer)  { c.col.WriteColumn(w) }
func (c *nanoseconds) Reset()                       { c.col.Reset() }

// seconds is a DateTime column without inference, like nanoseconds.
type seconds struct{ col proto.ColDateTime }

func (c *seconds) add(s int64) {
	c.col.Data = append(c.col.Data, proto.DateTime(s))
}

// Type implements [proto.ColInput], as do the other methods.
func (c *seconds) Type() proto.ColumnType       { return c.col.Type() }
func (c *seconds) Rows() int                    { return c.col.Rows() }
func (c *seconds) EncodeColumn(b *proto.Buffer) { c.col.EncodeColumn(b) }
func (c *seconds) WriteColumn(w *proto.Writer)  { c.col.WriteColumn(w) }
func (c *seconds) Reset()                       { c.col.Reset() }

// flag is a boolean in a UInt8 column.
func flag(b bool) uint8 {
	if b {
		return 1
	}
	return 0
}

func resetAll(in proto.Input) {
	for _, c := range in {
		if r, ok := c.Data.(proto.Resettable); ok {
			r.Reset()
		}
	}
}
