package corpus

import (
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pprofile"

	"github.com/aperture-collector/aperture-collector/internal/profile"
)

// emitter writes stacks of pools into the dictionary of one batch.
type emitter struct {
	builder *profile.Builder
	bin     *binary
	mapping int32
	places  map[int32]int32 // location of bin → index in the dictionary
	stacks  map[poolStack]int32
	scratch []int32
}

type poolStack struct {
	pool  *pool
	stack int32
}

func newEmitter() *emitter {
	return &emitter{builder: profile.NewBuilder(), stacks: make(map[poolStack]int32)}
}

// use makes bin the binary of the stacks that follow.
func (e *emitter) use(bin *binary) {
	if e.bin == bin {
		return
	}
	e.bin, e.places = bin, make(map[int32]int32)
	e.mapping = e.builder.Mapping(bin.mapping)
}

func (e *emitter) resource(attributes pcommon.Map) pprofile.ScopeProfiles {
	rp := e.builder.Profiles().ResourceProfiles().AppendEmpty()
	attributes.CopyTo(rp.Resource().Attributes())
	return rp.ScopeProfiles().AppendEmpty()
}

// stack returns the index of a pool's stack in the dictionary.
func (e *emitter) stack(p *pool, s int32) int32 {
	key := poolStack{p, s}
	if i, ok := e.stacks[key]; ok {
		return i
	}
	e.scratch = e.scratch[:0]
	for _, l := range p.stacks[s].locations {
		e.scratch = append(e.scratch, e.location(l))
	}
	i := e.builder.Stack(e.scratch)
	e.stacks[key] = i
	return i
}

func (e *emitter) location(l int32) int32 {
	if i, ok := e.places[l]; ok {
		return i
	}
	loc := &e.bin.locations[l]
	lines := make([]profile.Line, len(loc.lines))
	for i, ln := range loc.lines {
		lines[i] = profile.Line{Function: e.builder.Function(ln.function), Line: ln.number}
	}
	i := e.builder.Location(e.mapping, loc.address, e.bin.frameType, lines...)
	e.places[l] = i
	return i
}
