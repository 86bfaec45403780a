package pprofwire

import (
	"math/bits"
	"sync"

	"go.opentelemetry.io/collector/pdata/pprofile"
)

// reserve makes room for the samples from first to end and what they refer to.
func (c *Converter) reserve(columns []Column, first, end int) {
	p, d := c.p, c.dict
	if first >= end {
		return
	}
	samples, refs := end-first, int(p.ends[end-1].refs)
	if first > 0 {
		refs -= int(p.ends[first-1].refs)
	}
	// A part of the samples may need little of large tables, and at most this.
	locations := min(len(p.Locations), refs)
	functions, lines, texts := len(p.Functions), len(p.lines), len(p.strings)
	if samples < p.NumSamples() {
		functions, lines, texts = min(functions, 2*locations), min(lines, 2*locations), min(texts, 4*locations)
	} else if c.arena == nil {
		size := 0
		for _, s := range p.strings {
			size += int(s.end - s.start)
		}
		c.arena = make([]byte, 0, size)
	}
	makeRoom(d.StringTable(), texts)
	makeRoom(d.FunctionTable(), functions)
	makeRoom(d.LocationTable(), locations)
	makeRoom(d.StackTable(), samples)
	c.blocks.Functions.Reserve(functions)
	c.blocks.Locations.Reserve(locations)
	c.blocks.Lines.Reserve(lines)
	c.blocks.Stacks.Reserve(samples)
	c.blocks.Indices.Reserve(refs)
	values := 0
	for i := range columns {
		values += p.present(columns[i].Index, first, end)
	}
	c.blocks.Samples.Reserve(values)
	c.blocks.Values.Reserve(values)
	if n := 1 << bits.Len(uint(2*(c.stacks+samples)-1)); n > len(c.slots) {
		if c.stacks > 0 {
			c.growSlots(n)
		} else {
			c.slots = zeros(c.slots, n)
		}
	}
}

// converters holds those that were released.
var converters = sync.Pool{New: func() any {
	return &Converter{
		own: make(map[string]int32, 8), attributes: make(map[Label]int32), joined: make(map[string]int32), links: make(map[linkKey]int32),
		targets: make(map[string][]pprofile.SampleSlice),
	}
}}

// maxKept bounds the tables of what is in converters: one should not hold on to the
// memory of the largest profile that ever came.
const maxKept = 1 << 16

// Release gives the memory of c to later calls of [NewConverter]. What c made is not
// touched; c must not be used any more. Calling it is not necessary.
func (c *Converter) Release() {
	if len(c.slots) > maxKept || len(c.strings) > maxKept || len(c.locations) > maxKept || len(c.attributes) > maxKept ||
		len(c.links) > maxKept || len(c.targets) > maxKept || len(c.joined) > maxKept {
		return
	}
	clear(c.slots) // they refer to the profile
	clear(c.own)
	clear(c.attributes)
	clear(c.joined)
	clear(c.links)
	clear(c.targets)
	clear(c.same[:cap(c.same)])
	c.p, c.dict, c.arena, c.kernel, c.options = nil, pprofile.ProfilesDictionary{}, nil, nil, Options{}
	c.blocks.Forget()
	converters.Put(c)
}

// makeRoom makes room in a table for n more, unless it has more than that already: the
// dictionary of many profiles would be copied for each of them.
func makeRoom(table interface {
	Len() int
	EnsureCapacity(capacity int)
}, n int,
) {
	if table.Len() <= n {
		table.EnsureCapacity(table.Len() + n)
	}
}
