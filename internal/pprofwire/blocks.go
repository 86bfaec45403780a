package pprofwire

import (
	"sync"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pprofile"

	"github.com/aperture-collector/aperture-collector/internal/slab"
)

// blocks make what a dictionary and samples consist of.
type blocks struct {
	sampleList   slab.Elements[pprofile.Sample, pprofile.SampleSlice]
	stackList    slab.Elements[pprofile.Stack, pprofile.StackSlice]
	locationList slab.Elements[pprofile.Location, pprofile.LocationSlice]
	lineList     slab.Elements[pprofile.Line, pprofile.LineSlice]
	functionList slab.Elements[pprofile.Function, pprofile.FunctionSlice]
	values       slab.Numbers[int64, pcommon.Int64Slice]
	indices      slab.Numbers[int32, pcommon.Int32Slice]
}

// reserve makes room for a dictionary with all of p.
func (b *blocks) reserve(p *Profile) {
	b.functionList.Reserve(len(p.Functions))
	b.locationList.Reserve(len(p.Locations))
	b.lineList.Reserve(len(p.lines))
	b.stackList.Reserve(p.NumSamples())
	b.indices.Reserve(len(p.refs))
}

// converters holds those that [ToProfiles] is done with.
var converters = sync.Pool{New: func() any {
	return &Converter{own: make(map[string]int32, 8), attributes: make(map[Label]int32)}
}}

// maxKept bounds the tables of what is in converters: one should not hold on to the
// memory of the largest profile that ever came.
const maxKept = 1 << 16

// release gives the memory of c to later calls. What c made is not touched.
func (c *Converter) release() {
	if len(c.slots) > maxKept || len(c.strings) > maxKept || len(c.locations) > maxKept || len(c.attributes) > maxKept {
		return
	}
	clear(c.slots) // they refer to the profile
	clear(c.own)
	clear(c.attributes)
	clear(c.same[:cap(c.same)])
	c.p, c.dict, c.arena, c.kernel = nil, pprofile.ProfilesDictionary{}, nil, nil
	c.sampleList.Forget()
	c.stackList.Forget()
	c.locationList.Forget()
	c.lineList.Forget()
	c.functionList.Forget()
	c.values.Forget()
	c.indices.Forget()
	converters.Put(c)
}
