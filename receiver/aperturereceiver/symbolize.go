package aperturereceiver

import (
	"strings"

	"go.opentelemetry.io/collector/pdata/pprofile"

	"github.com/aperture-collector/aperture-collector/internal/aperturewire"
	"github.com/aperture-collector/aperture-collector/internal/profile"
)

// symbolizer turns encoded stacks into stacks of the dictionary. What it has made
// it finds again by the frames as they are encoded, most of them by their address
// alone, so that it appends to the tables of the dictionary what it knows is new.
type symbolizer struct {
	b    *profile.Builder
	dict pprofile.ProfilesDictionary

	frames map[uint64]knownFrame // by address; aliases the payload
	others map[frameKey]int32    // further frames with the address of a known one
	// functions are the indices of functions by the index of their name, 0 where
	// there is none.
	functions []int32
	mappings  map[string]int32 // by module; aliases the payload
	kernel    int32            // the attribute of kernel frames, 0 where there is none
	locations []int32          // of the stack at hand
	last      tableSizes       // of the push before

	// interned holds strings that came in earlier pushes too, so that equal
	// strings of many batches in memory are one.
	interned map[string]string
	size     int
}

// Bounds of the interned strings.
const (
	maxInterned     = 1 << 15
	maxInternedSize = 4 << 20
)

// knownFrame is a frame and its location.
type knownFrame struct {
	frameKey
	location int32
}

// tableSizes are the lengths of tables of a dictionary.
type tableSizes struct {
	strings, functions, locations, stacks int
}

type frameKey struct {
	aperturewire.Frame
	kernel bool
}

func newSymbolizer() symbolizer {
	return symbolizer{
		frames:   make(map[uint64]knownFrame),
		others:   make(map[frameKey]int32),
		mappings: make(map[string]int32),
		interned: make(map[string]string),
	}
}

// reset forgets all but the interned strings.
func (s *symbolizer) reset() {
	s.b, s.dict = nil, pprofile.ProfilesDictionary{}
	clear(s.frames)
	clear(s.others)
	clear(s.mappings)
	s.functions, s.kernel = s.functions[:0], 0
}

// begin starts a dictionary for so many events. Batches of a fleet are alike, so
// it makes room for as much as the last one needed.
func (s *symbolizer) begin(b *profile.Builder, events int) {
	s.b, s.dict = b, b.Profiles().Dictionary()
	s.dict.StringTable().EnsureCapacity(min(s.last.strings, 8*events))
	s.dict.FunctionTable().EnsureCapacity(min(s.last.functions, 8*events))
	s.dict.LocationTable().EnsureCapacity(min(s.last.locations, 8*events))
	s.dict.StackTable().EnsureCapacity(min(s.last.stacks, events+1))
}

// end remembers how large the dictionary has become.
func (s *symbolizer) end() {
	s.last = tableSizes{
		strings:   s.dict.StringTable().Len(),
		functions: s.dict.FunctionTable().Len(),
		locations: s.dict.LocationTable().Len(),
		stacks:    s.dict.StackTable().Len(),
	}
}

// intern returns a string equal to text that does not alias the payload.
func (s *symbolizer) intern(text string) string {
	if known, ok := s.interned[text]; ok {
		return known
	}
	if len(s.interned) >= maxInterned || s.size+len(text) > maxInternedSize {
		clear(s.interned)
		s.size = 0
	}
	text = strings.Clone(text)
	s.interned[text] = text
	s.size += len(text)
	return text
}

// half selects the frames of a list that holds kernel and user frames.
type half uint8

const (
	both half = iota
	kernelHalf
	userHalf
)

// stack returns the index of the stack of an event: leaf first, which puts the
// frames of the kernel before those of the process.
func (s *symbolizer) stack(ev *aperturewire.Event) int32 {
	s.locations = s.locations[:0]
	switch ev.Kind {
	case aperturewire.KindCPU:
		s.append(ev.Kernel, both, true)
		s.append(ev.User, both, false)
	case aperturewire.KindLock:
		// One list holds both halves, user frames first.
		s.append(ev.User, kernelHalf, true)
		s.append(ev.User, userHalf, false)
	case aperturewire.KindGPU:
		if ev.KernelName != "" {
			s.locations = append(s.locations, s.location(&frameKey{Frame: aperturewire.Frame{Symbol: ev.KernelName}}, ev.KernelName, ""))
		}
	}
	return s.b.Stack(s.locations)
}

// append adds the frames of one half of a list.
func (s *symbolizer) append(stack aperturewire.Stack, only half, kernel bool) {
	it := stack.Frames()
	for f := (frameKey{kernel: kernel}); it.Next(&f.Frame); {
		if only != both && (f.Address >= aperturewire.KernelStart) != (only == kernelHalf) {
			continue
		}
		known, ok := s.frames[f.Address]
		switch {
		case !ok:
			known = knownFrame{frameKey: f, location: s.resolve(&f)}
			s.frames[f.Address] = known
		case known.frameKey != f:
			// Another process has other code there.
			if known.location, ok = s.others[f]; !ok {
				known.location = s.resolve(&f)
				s.others[f] = known.location
			}
		}
		s.locations = append(s.locations, known.location)
	}
}

// resolve returns the location of a frame that is not known yet. One that the
// agent could not resolve has an address and no line.
func (s *symbolizer) resolve(f *frameKey) int32 {
	var function, module string
	if f.Resolved {
		function, module = aperturewire.SplitSymbol(f.Symbol)
	}
	if f.kernel && module == "" {
		module = profile.KernelMapping
	}
	return s.location(f, function, module)
}

// location appends a location. What kind of code a user frame is in is not known.
func (s *symbolizer) location(f *frameKey, function, module string) int32 {
	table := s.dict.LocationTable()
	index := int32(table.Len())
	l := s.b.Blocks().Locations.One(table)
	l.SetAddress(f.Address)
	if module != "" {
		l.SetMappingIndex(s.mapping(module))
	}
	if f.kernel {
		if s.kernel == 0 {
			s.kernel = s.b.StringAttribute(profile.AttrFrameType, profile.FrameKernel)
		}
		s.b.Blocks().Indices.One(l.AttributeIndices(), s.kernel)
	}
	if function != "" {
		s.b.Blocks().Lines.One(l.Lines()).SetFunctionIndex(s.function(function))
	}
	return index
}

// mapping returns the index of a module in the mapping table.
func (s *symbolizer) mapping(module string) int32 {
	index, ok := s.mappings[module]
	if !ok {
		index = s.b.Mapping(profile.Mapping{Filename: s.intern(module)})
		s.mappings[module] = index
	}
	return index
}

// function returns the index of a function in the function table.
func (s *symbolizer) function(name string) int32 {
	n := int(s.b.String(s.intern(name)))
	for n >= len(s.functions) {
		s.functions = append(s.functions, 0)
	}
	if s.functions[n] == 0 {
		table := s.dict.FunctionTable()
		s.functions[n] = int32(table.Len())
		s.b.Blocks().Functions.One(table).SetNameStrindex(int32(n))
	}
	return s.functions[n]
}
