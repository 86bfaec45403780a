package alerts

import (
	"context"
	"time"

	"github.com/ClickHouse/ch-go/proto"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chconn"
)

// field is a column of a table, to be written and read.
type field struct {
	name string
	data interface {
		proto.ColInput
		proto.ColResult
	}
}

func inputOf(fields []field) proto.Input {
	in := make(proto.Input, len(fields))
	for i, f := range fields {
		in[i] = proto.InputColumn{Name: f.name, Data: f.data}
	}
	return in
}

func resultsOf(fields []field) proto.Results {
	out := make(proto.Results, len(fields))
	for i, f := range fields {
		out[i] = proto.ResultColumn{Name: f.name, Data: f.data}
	}
	return out
}

func listOf(fields []field) string { return chconn.ColumnNames(inputOf(fields)) }

// eachRow calls f for every row of a result.
func eachRow(f func(i int)) func(context.Context, proto.Block) error {
	return func(_ context.Context, b proto.Block) error {
		for i := range b.Rows {
			f(i)
		}
		return nil
	}
}

// dialects is a LowCardinality(String) column.
type dialects = proto.ColLowCardinality[string]

func newDialects() *dialects { return proto.NewLowCardinality[string](new(proto.ColStr)) }

// times is a DateTime64(9) column. The zero time is 1970 in it.
type times struct{ proto.ColDateTime64 }

func newTimes() *times {
	c := new(times)
	c.WithPrecision(proto.PrecisionNano)
	return c
}

func (c *times) add(t time.Time) {
	var ns int64
	if !t.IsZero() {
		ns = t.UnixNano()
	}
	c.Data = append(c.Data, proto.DateTime64(ns))
}

func (c *times) at(i int) time.Time {
	ns := int64(c.Data[i])
	if ns == 0 {
		return time.Time{}
	}
	return time.Unix(0, ns).UTC()
}

// texts is a Map(String, String) column.
type texts = proto.ColMap[string, string]

func newTexts() *texts { return proto.NewMap[string, string](new(proto.ColStr), new(proto.ColStr)) }

// textsAt returns a row of a map column, nil if it is empty.
func textsAt(c *texts, i int) map[string]string {
	if m := c.Row(i); len(m) > 0 {
		return m
	}
	return nil
}

// flag is a boolean in a UInt8 column.
func flag(b bool) uint8 {
	if b {
		return 1
	}
	return 0
}
