package pprofwire

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"unicode/utf8"
	"unsafe"

	"github.com/zeebo/xxh3"
	"go.opentelemetry.io/collector/pdata/pprofile"

	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/slab"
)

// Converter puts the stacks and labels of one profile into the dictionary of
// Profiles. What a profile refers to by number is a number in the dictionary too, so
// that no string, function or location has to be looked up by its content, as
// [profile.Builder] does. The price is that what two profiles have in common is in a
// dictionary twice if both are converted into it.
//
// It is not safe for concurrent use. What it makes does not alias the profile.
type Converter struct {
	p    *Profile
	dict pprofile.ProfilesDictionary

	// Indices in the dictionary plus 1, by index in the profile.
	strings, mappings, functions, locations []int32
	arena                                   []byte // where strings are

	own        map[string]int32 // strings that are not of the profile
	attributes map[Label]int32
	joined     map[string]int32 // attributes of keys with several values, by their labels
	links      map[linkKey]int32
	kernel     []int32 // the frame type
	comments   int32   // the attribute, 0 if there is none

	// slots find stacks by the hash of their locations. At most half of them are used.
	slots  []stackSlot
	stacks int

	stack, set []int32
	same       []string
	several    []Label
	labelKey   []byte

	options            Options
	uses               []LabelUse // by string index of the key: those of text, then those of numbers; plus 1
	ofSample, ofSeries []Label
	key                []byte
	targets            map[string][]pprofile.SampleSlice

	made int   // bytes of text that is made of strings
	err  error // what AppendSamples fails with

	blocks slab.Profiles
}

type stackSlot struct {
	locations []uint32
	index     int32
}

const minSlots = 1 << 6

// stackSeed makes it impossible to choose stacks that collide.
var stackSeed = rand.Uint64()

// NewConverter returns a Converter of p into the dictionary of pd, which may have
// content.
func NewConverter(pd pprofile.Profiles, p *Profile) *Converter {
	c := converters.Get().(*Converter)
	d := pd.Dictionary()
	if d.StringTable().Len() == 0 {
		// Index 0 of every table is the zero value, as OTLP asks.
		d.StringTable().Append("")
		d.MappingTable().AppendEmpty()
		d.FunctionTable().AppendEmpty()
		d.LocationTable().AppendEmpty()
		d.StackTable().AppendEmpty()
		d.AttributeTable().AppendEmpty()
		d.LinkTable().AppendEmpty()
	}
	c.reset(d, p)
	return c
}

// reset makes c a Converter of p into d, with the memory that it has.
func (c *Converter) reset(d pprofile.ProfilesDictionary, p *Profile) {
	c.p, c.dict, c.arena, c.kernel, c.stacks, c.made, c.err = p, d, nil, nil, 0, 0, nil
	for _, t := range []struct {
		table *[]int32
		size  int
	}{{&c.strings, len(p.strings)}, {&c.mappings, len(p.Mappings)}, {&c.functions, len(p.Functions)}, {&c.locations, len(p.Locations)}} {
		*t.table = zeros(*t.table, t.size)
	}
	c.slots = zeros(c.slots, minSlots)
}

// zeros returns n zeros, in the memory of s if they fit.
func zeros[E any](s []E, n int) []E {
	s = grown(s[:0], n)[:n]
	clear(s)
	return s
}

// Text returns a string of the profile, with what is not UTF-8 replaced.
func (c *Converter) Text(i uint32) string { return c.dict.StringTable().At(int(c.string(i))) }

// string returns the index of a string of the profile.
func (c *Converter) string(i uint32) int32 {
	if c.strings[i] != 0 {
		return c.strings[i] - 1
	}
	s := c.cutText(c.p.String(i))
	valid := utf8.ValidString(s)
	if !valid {
		s = c.validText(s)
	}
	switch {
	case s == "": // also what is left of one whose last rune is longer than the limit
		c.strings[i] = 1
		return 0
	case valid:
		s = c.clone(s)
	}
	t := c.dict.StringTable()
	t.Append(s)
	c.strings[i] = int32(t.Len())
	return c.strings[i] - 1
}

// minMade is how much text is made of the strings of a profile at least before it is
// too much, and madeFactor how many times the size of the profile.
const (
	minMade    = 32 << 20
	madeFactor = 8
)

// makes counts text that is made of strings of the profile, and reports whether it may
// be made: each of many functions or samples can refer to the same long strings.
func (c *Converter) makes(n int) bool {
	c.made += n
	if most := max(minMade, madeFactor*c.p.Size()); c.made > most && c.err == nil {
		c.err = fmt.Errorf("convert pprof: %w: names of functions and values of labels have more than %d bytes together", ErrTooLarge, most)
	}
	return c.err == nil
}

// textBlock is how much memory for strings is taken at a time.
const textBlock = 16 << 10

// clone returns a copy of a string, which has others beside it.
func (c *Converter) clone(s string) string {
	if len(s) > cap(c.arena)-len(c.arena) {
		c.arena = make([]byte, 0, max(len(s), textBlock))
	}
	n := len(c.arena)
	c.arena = append(c.arena, s...)
	return unsafe.String(&c.arena[n], len(s))
}

// add returns the index of a string that is not of the profile.
func (c *Converter) add(s string) int32 {
	if s == "" {
		return 0
	}
	i, ok := c.own[s]
	if !ok {
		t := c.dict.StringTable()
		i = int32(t.Len())
		t.Append(s)
		c.own[s] = i
	}
	return i
}

// Stack returns the index of a stack of the profile in the dictionary. It keeps
// locations.
func (c *Converter) Stack(locations []uint32) int32 {
	if len(locations) == 0 {
		return 0
	}
	slot := c.slot(locations)
	if slot.locations != nil {
		return slot.index
	}
	t := c.dict.StackTable()
	index := int32(t.Len())
	*slot = stackSlot{locations, index}
	if c.stacks++; 2*c.stacks > len(c.slots) {
		c.growSlots(2 * len(c.slots))
	}
	to := c.blocks.Stacks.One(t)
	c.stack = c.stack[:0]
	for _, l := range locations {
		i := c.locations[l]
		if i == 0 {
			i = c.location(l)
		}
		c.stack = append(c.stack, i-1)
	}
	c.blocks.Indices.Set(to.LocationIndices(), c.stack)
	return index
}

// growSlots makes n slots, a power of two.
func (c *Converter) growSlots(n int) {
	old := c.slots
	c.slots = make([]stackSlot, n)
	for _, s := range old {
		if s.locations != nil {
			*c.slot(s.locations) = s
		}
	}
}

// slot returns the slot of a stack or the empty one where it belongs.
func (c *Converter) slot(locations []uint32) *stackSlot {
	mask := uint64(len(c.slots) - 1)
	bytes := unsafe.Slice((*byte)(unsafe.Pointer(&locations[0])), len(locations)*4)
	for h := xxh3.HashSeed(bytes, stackSeed); ; h++ {
		s := &c.slots[h&mask]
		if s.locations == nil || slices.Equal(s.locations, locations) {
			return s
		}
	}
}

func (c *Converter) location(l uint32) int32 {
	at := &c.p.Locations[l]
	t := c.dict.LocationTable()
	to := c.blocks.Locations.One(t)
	c.locations[l] = int32(t.Len())
	to.SetAddress(at.Address)
	if at.Mapping >= 0 {
		to.SetMappingIndex(c.mapping(at.Mapping))
		// The name that mappings of the kernel have in profiles of perf and of ours.
		if strings.HasPrefix(c.p.String(c.p.Mappings[at.Mapping].Filename), "[kernel") {
			if c.kernel == nil {
				c.kernel = []int32{c.textAttribute(profile.AttrFrameType, profile.FrameKernel)}
			}
			to.AttributeIndices().FromRaw(c.kernel)
		}
	}
	lines := c.p.Lines(l)
	if most := c.options.MaxDepth; most > 0 && len(lines) > most {
		lines = lines[len(lines)-most:]
	}
	if len(lines) > 0 {
		c.blocks.Lines.Append(to.Lines(), len(lines))
		for i, line := range lines {
			e := to.Lines().At(i)
			e.SetFunctionIndex(c.function(line.Function))
			e.SetLine(line.Line)
			e.SetColumn(line.Column)
		}
	}
	return c.locations[l]
}

// mapping returns 0, that of nothing, for mappings of which only addresses are
// known.
func (c *Converter) mapping(i int) int32 {
	if c.mappings[i] != 0 {
		return c.mappings[i] - 1
	}
	m := &c.p.Mappings[i]
	file, id := c.string(m.Filename), c.string(m.BuildID)
	if file == 0 && id == 0 {
		c.mappings[i] = 1
		return 0
	}
	t := c.dict.MappingTable()
	to := t.AppendEmpty()
	c.mappings[i] = int32(t.Len())
	to.SetMemoryStart(m.Start)
	to.SetMemoryLimit(m.Limit)
	to.SetFileOffset(m.Offset)
	to.SetFilenameStrindex(file)
	if id != 0 {
		to.AttributeIndices().Append(c.textAttribute(profile.AttrBuildIDGNU, c.Text(m.BuildID)))
	}
	return c.mappings[i] - 1
}

func (c *Converter) function(i int) int32 {
	if c.functions[i] == 0 {
		f := &c.p.Functions[i]
		t := c.dict.FunctionTable()
		to := c.blocks.Functions.One(t)
		to.SetNameStrindex(c.name(f))
		to.SetSystemNameStrindex(c.string(f.SystemName))
		to.SetFilenameStrindex(c.string(f.Filename))
		to.SetStartLine(f.StartLine)
		c.functions[i] = int32(t.Len())
	}
	return c.functions[i] - 1
}

// name returns the index of a function's name.
func (c *Converter) name(f *Function) int32 {
	if c.options.Function == nil {
		return c.string(f.Name)
	}
	name, file := c.validText(c.p.String(f.Name)), c.validText(c.p.String(f.Filename))
	if !c.makes(len(name) + len(file)) {
		return 0
	}
	if other := c.options.Function(name, file); other != name {
		return c.add(strings.Clone(c.validText(other)))
	}
	return c.string(f.Name)
}
