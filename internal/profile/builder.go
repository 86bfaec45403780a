package profile

import (
	"encoding/binary"
	"unsafe"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pprofile"

	"github.com/aperture-collector/aperture-collector/internal/slab"
)

// Builder assembles a [pprofile.Profiles] whose dictionary holds every string,
// function, mapping, location, stack and attribute once. Lookups are hash maps;
// the Set functions of pprofile search their tables from front to back, which
// makes them quadratic. Index 0 of every table is the zero value, as OTLP asks.
//
// Strings that are handed to a Builder are kept: they must stay valid and
// unchanged for as long as the Profiles are used. A Builder is not safe for
// concurrent use.
type Builder struct {
	pd   pprofile.Profiles
	dict pprofile.ProfilesDictionary

	strings    map[string]int32
	functions  map[functionKey]int32
	mappings   map[Mapping]int32
	locations  map[locationKey]int32
	lines      map[string]int32
	stacks     map[string]int32
	attributes map[attributeKey]int32
	links      map[Link]int32
	scratch    []byte
	blocks     slab.Profiles
}

type functionKey struct {
	name, system, file int32
	start              int64
}

type locationKey struct {
	mapping   int32
	address   uint64
	frameType int32
	function  int32
	line      int64
	extra     int32 // index from lineList for locations that one line does not describe
}

type attributeKey struct {
	key  int32
	kind pcommon.ValueType
	num  int64 // int, bool, or the string's index
}

// Mapping is an executable or library as a profile names it.
type Mapping struct {
	Start, Limit, Offset uint64
	Filename             string
	// BuildID is written under BuildIDAttr ([AttrBuildIDGNU] when empty).
	BuildID, BuildIDAttr string
}

// Line is a function and source line of a location.
type Line struct {
	Function int32 // index from [Builder.Function]
	Line     int64
	Column   int64
}

// Link ties samples to a span.
type Link struct {
	TraceID pcommon.TraceID
	SpanID  pcommon.SpanID
}

// NewBuilder returns a Builder with an empty Profiles.
func NewBuilder() *Builder {
	b := &Builder{
		pd:         pprofile.NewProfiles(),
		strings:    make(map[string]int32, 64),
		functions:  make(map[functionKey]int32),
		mappings:   make(map[Mapping]int32),
		locations:  make(map[locationKey]int32),
		stacks:     make(map[string]int32),
		attributes: make(map[attributeKey]int32),
	}
	b.dict = b.pd.Dictionary()
	b.dict.StringTable().Append("")
	b.strings[""] = 0
	b.dict.FunctionTable().AppendEmpty()
	b.functions[functionKey{}] = 0
	b.dict.MappingTable().AppendEmpty()
	b.mappings[Mapping{}] = 0
	b.dict.LocationTable().AppendEmpty()
	b.locations[locationKey{}] = 0
	b.dict.StackTable().AppendEmpty()
	b.stacks[""] = 0
	b.dict.AttributeTable().AppendEmpty()
	b.dict.LinkTable().AppendEmpty()
	return b
}

// Profiles returns the Profiles under construction. Add resources, scopes and
// profiles to it directly; call nothing of the Builder after handing it on.
func (b *Builder) Profiles() pprofile.Profiles { return b.pd }

// Blocks makes elements of the Profiles, for those who append to it directly.
func (b *Builder) Blocks() *slab.Profiles { return &b.blocks }

// String returns the index of s in the string table.
func (b *Builder) String(s string) int32 {
	if i, ok := b.strings[s]; ok {
		return i
	}
	t := b.dict.StringTable()
	i := int32(t.Len())
	t.Append(s)
	b.strings[s] = i
	return i
}

// Function returns the index of f in the function table.
func (b *Builder) Function(f Function) int32 {
	k := functionKey{b.String(f.Name), b.String(f.SystemName), b.String(f.Filename), f.StartLine}
	if i, ok := b.functions[k]; ok {
		return i
	}
	i := b.newFunction(&k)
	b.functions[k] = i
	return i
}

// NewFunction is [Builder.Function] of one that was not added before, which need not
// be looked up then.
func (b *Builder) NewFunction(f Function) int32 {
	return b.newFunction(&functionKey{b.String(f.Name), b.String(f.SystemName), b.String(f.Filename), f.StartLine})
}

func (b *Builder) newFunction(k *functionKey) int32 {
	t := b.dict.FunctionTable()
	i := int32(t.Len())
	e := b.blocks.Functions.One(t)
	e.SetNameStrindex(k.name)
	e.SetSystemNameStrindex(k.system)
	e.SetFilenameStrindex(k.file)
	e.SetStartLine(k.start)
	return i
}

// Mapping returns the index of m in the mapping table.
func (b *Builder) Mapping(m Mapping) int32 {
	if i, ok := b.mappings[m]; ok {
		return i
	}
	t := b.dict.MappingTable()
	i := int32(t.Len())
	e := t.AppendEmpty()
	e.SetMemoryStart(m.Start)
	e.SetMemoryLimit(m.Limit)
	e.SetFileOffset(m.Offset)
	e.SetFilenameStrindex(b.String(m.Filename))
	if m.BuildID != "" {
		attr := m.BuildIDAttr
		if attr == "" {
			attr = AttrBuildIDGNU
		}
		e.AttributeIndices().Append(b.StringAttribute(attr, m.BuildID))
	}
	b.mappings[m] = i
	return i
}

// Location returns the index of a location in the location table. frameType is
// the value of [AttrFrameType] or empty; lines go from the innermost inlined
// function outwards and may be empty for an unsymbolised address.
func (b *Builder) Location(mapping int32, address uint64, frameType string, lines ...Line) int32 {
	k := locationKey{mapping: mapping, address: address, frameType: b.String(frameType)}
	switch {
	case len(lines) == 1 && lines[0].Column == 0:
		k.function, k.line = lines[0].Function, lines[0].Line
	case len(lines) > 0:
		k.extra = b.lineList(lines)
	}
	if i, ok := b.locations[k]; ok {
		return i
	}
	i := b.NewLocation(mapping, address, frameType, lines...)
	b.locations[k] = i
	return i
}

// NewLocation is [Builder.Location] of one that was not added before, which need not
// be looked up then.
func (b *Builder) NewLocation(mapping int32, address uint64, frameType string, lines ...Line) int32 {
	t := b.dict.LocationTable()
	i := int32(t.Len())
	e := b.blocks.Locations.One(t)
	e.SetMappingIndex(mapping)
	e.SetAddress(address)
	if frameType != "" {
		e.AttributeIndices().Append(b.StringAttribute(AttrFrameType, frameType))
	}
	b.blocks.Lines.Append(e.Lines(), len(lines))
	for i, l := range lines {
		le := e.Lines().At(i)
		le.SetFunctionIndex(l.Function)
		le.SetLine(l.Line)
		le.SetColumn(l.Column)
	}
	return i
}

// lineList numbers lists of lines, so that locations with inlined functions
// have a key of fixed size.
func (b *Builder) lineList(lines []Line) int32 {
	if b.lines == nil {
		b.lines = make(map[string]int32)
	}
	key := b.scratch[:0]
	for _, l := range lines {
		key = binary.AppendVarint(key, int64(l.Function))
		key = binary.AppendVarint(key, l.Line)
		key = binary.AppendVarint(key, l.Column)
	}
	b.scratch = key
	if i, ok := b.lines[string(key)]; ok {
		return i
	}
	i := int32(len(b.lines) + 1)
	b.lines[string(key)] = i
	return i
}

// Stack returns the index of the stack with these locations, leaf first, in the
// stack table. locations is not kept.
func (b *Builder) Stack(locations []int32) int32 {
	if len(locations) == 0 {
		return 0
	}
	key := unsafe.String((*byte)(unsafe.Pointer(&locations[0])), len(locations)*4)
	if i, ok := b.stacks[key]; ok {
		return i
	}
	i := b.NewStack(locations)
	b.stacks[string([]byte(key))] = i
	return i
}

// NewStack is [Builder.Stack] of locations that no other stack has, which need not be
// looked up then.
func (b *Builder) NewStack(locations []int32) int32 {
	if len(locations) == 0 {
		return 0
	}
	t := b.dict.StackTable()
	i := int32(t.Len())
	b.blocks.Indices.Set(b.blocks.Stacks.One(t).LocationIndices(), locations)
	return i
}

// StringAttribute returns the index of an attribute with a string value.
func (b *Builder) StringAttribute(key, value string) int32 {
	k := attributeKey{b.String(key), pcommon.ValueTypeStr, int64(b.String(value))}
	i, e, isNew := b.attribute(k)
	if isNew {
		e.Value().SetStr(value)
	}
	return i
}

// IntAttribute returns the index of an attribute with an integer value.
func (b *Builder) IntAttribute(key string, value int64) int32 {
	i, e, isNew := b.attribute(attributeKey{b.String(key), pcommon.ValueTypeInt, value})
	if isNew {
		e.Value().SetInt(value)
	}
	return i
}

// BoolAttribute returns the index of an attribute with a boolean value.
func (b *Builder) BoolAttribute(key string, value bool) int32 {
	var n int64
	if value {
		n = 1
	}
	i, e, isNew := b.attribute(attributeKey{b.String(key), pcommon.ValueTypeBool, n})
	if isNew {
		e.Value().SetBool(value)
	}
	return i
}

func (b *Builder) attribute(k attributeKey) (int32, pprofile.KeyValueAndUnit, bool) {
	t := b.dict.AttributeTable()
	if i, ok := b.attributes[k]; ok {
		return i, pprofile.KeyValueAndUnit{}, false
	}
	i := int32(t.Len())
	e := t.AppendEmpty()
	e.SetKeyStrindex(k.key)
	b.attributes[k] = i
	return i, e, true
}

// Link returns the index of l in the link table.
func (b *Builder) Link(l Link) int32 {
	if l == (Link{}) {
		return 0
	}
	if i, ok := b.links[l]; ok {
		return i
	}
	if b.links == nil {
		b.links = make(map[Link]int32)
	}
	t := b.dict.LinkTable()
	i := int32(t.Len())
	e := t.AppendEmpty()
	e.SetTraceID(l.TraceID)
	e.SetSpanID(l.SpanID)
	b.links[l] = i
	return i
}
