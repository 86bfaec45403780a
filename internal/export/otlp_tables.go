package export

import (
	"slices"

	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// table numbers what it is asked for, in the order it is met.
type table[T comparable] struct {
	list    []T
	numbers map[T]int32
}

// newTable returns a table that has zero, as OTLP wants it, as number 0.
func newTable[T comparable](zero T) table[T] {
	return table[T]{list: []T{zero}, numbers: map[T]int32{zero: 0}}
}

func (t *table[T]) number(v T) int32 {
	n, ok := t.numbers[v]
	if !ok {
		n = int32(len(t.list))
		t.numbers[v] = n
		t.list = append(t.list, v)
	}
	return n
}

// otlpTables are the tables of a dictionary. They grow with the functions and
// frames of a merge; of its stacks they have nothing but numbers.
type otlpTables struct {
	strings    table[string]
	functions  table[profile.Function]
	mappings   table[otlpMapping]
	attributes table[otlpAttribute]
	locations  *locations
	// byNumber has the frames of each location from number 1.
	byNumber [][]*profile.Frame
	// stacks are the merge's stacks in use, stackNumbers the number of each stack
	// of the merge, from 1; 0 if it has no frames.
	stacks, stackNumbers []int32
	// locks are the addresses of locks, sorted; their attributes are behind the
	// others.
	locks []uint64
}

type otlpMapping struct{ file, buildID string }

// otlpAttribute is an attribute. Of the values, that of its kind is used.
type otlpAttribute struct {
	key  string
	kind valueKind
	text string
	n    int64
}

type valueKind uint8

const (
	textValue valueKind = iota + 1
	intValue
	trueValue
)

func newOTLPTables(m *profilestore.Merge) *otlpTables {
	t := &otlpTables{
		strings: newTable(""), functions: newTable(profile.Function{}), mappings: newTable(otlpMapping{}),
		attributes: newTable(otlpAttribute{}), locations: newLocations(), stackNumbers: make([]int32, len(m.Stacks)),
	}
	for i := range m.Kinds {
		t.rows(m, &m.Kinds[i])
	}
	slices.Sort(t.locks)
	t.locks = slices.Clip(slices.Compact(t.locks))
	return t
}

func (t *otlpTables) rows(m *profilestore.Merge, k *profilestore.KindMerge) {
	for i := range k.Rows {
		row := &k.Rows[i]
		if row.LockAddress != 0 {
			t.locks = append(t.locks, row.LockAddress)
		}
		frames := m.Stacks[row.Stack].Frames
		if len(frames) == 0 || t.stackNumbers[row.Stack] != 0 {
			continue
		}
		t.stacks = append(t.stacks, row.Stack)
		t.stackNumbers[row.Stack] = int32(len(t.stacks))
		for rest := frames; len(rest) > 0; {
			var at []*profile.Frame
			at, rest = cutLocation(rest)
			if _, isNew := t.locations.number(at); isNew {
				t.byNumber = append(t.byNumber, at)
				t.location(at)
			}
		}
	}
}

// location numbers what a location refers to.
func (t *otlpTables) location(frames []*profile.Frame) {
	f := frames[len(frames)-1]
	t.mapping(f)
	if f.Type != "" {
		t.textAttribute(profile.AttrFrameType, f.Type)
	}
	for _, f := range frames {
		t.function(f)
	}
}

func (t *otlpTables) mapping(f *profile.Frame) int32 {
	if f.BuildID != "" {
		t.textAttribute(profile.AttrBuildIDGNU, f.BuildID)
	}
	t.string(f.Mapping)
	return t.mappings.number(otlpMapping{f.Mapping, f.BuildID})
}

func (t *otlpTables) function(f *profile.Frame) int32 {
	t.string(f.Function.Name)
	t.string(f.Function.SystemName)
	t.string(f.Function.Filename)
	return t.functions.number(f.Function)
}

func (t *otlpTables) string(s string) int32 { return t.strings.number(valid(s)) }

func (t *otlpTables) attribute(a otlpAttribute) int32 {
	t.string(a.key)
	return t.attributes.number(a)
}

func (t *otlpTables) textAttribute(key, value string) int32 {
	return t.attribute(otlpAttribute{key: key, kind: textValue, text: value})
}

func (t *otlpTables) intAttribute(key string, value int64) int32 {
	return t.attribute(otlpAttribute{key: key, kind: intValue, n: value})
}

// lock returns the attribute of a lock. No other may be added after it.
func (t *otlpTables) lock(address uint64) int32 {
	n, _ := slices.BinarySearch(t.locks, address)
	return int32(len(t.attributes.list) + n)
}

// write writes the dictionary.
func (t *otlpTables) write(w otlpWriter, m *profilestore.Merge) {
	w.begin(dataDictionary)
	w.list(dictionaryMappings)
	for _, e := range t.mappings.list {
		w.begin(dictionaryMappings)
		w.index(otlpMappingFile, t.string(e.file))
		if e.buildID != "" {
			w.indices(otlpMappingAttributes, []int32{t.textAttribute(profile.AttrBuildIDGNU, e.buildID)})
		}
		w.end()
	}
	w.endList()
	t.writeLocations(w)
	w.list(dictionaryFunctions)
	for _, f := range t.functions.list {
		w.begin(dictionaryFunctions)
		w.index(otlpFunctionName, t.string(f.Name))
		w.index(otlpFunctionSystem, t.string(f.SystemName))
		w.index(otlpFunctionFile, t.string(f.Filename))
		w.int(otlpFunctionLine, f.StartLine)
		w.end()
	}
	w.endList()
	w.list(dictionaryLinks)
	w.begin(dictionaryLinks)
	w.end()
	w.endList()
	w.list(dictionaryStrings)
	for _, s := range t.strings.list {
		w.text(dictionaryStrings, s)
	}
	w.endList()
	t.writeAttributes(w)
	t.writeStacks(w, m)
	w.end()
}

func (t *otlpTables) writeLocations(w otlpWriter) {
	w.list(dictionaryLocations)
	w.begin(dictionaryLocations)
	w.end()
	for _, frames := range t.byNumber {
		f := frames[len(frames)-1]
		w.begin(dictionaryLocations)
		w.index(otlpLocationMapping, t.mapping(f))
		w.uint(otlpLocationAddress, f.Address)
		w.list(otlpLocationLines)
		for _, l := range frames {
			if len(frames) == 1 && l.Function.IsZero() && l.Line == 0 {
				break
			}
			w.begin(otlpLocationLines)
			w.index(otlpLineFunction, t.function(l))
			w.int(otlpLineLine, l.Line)
			w.end()
		}
		w.endList()
		if f.Type != "" {
			w.indices(otlpLocationAttributes, []int32{t.textAttribute(profile.AttrFrameType, f.Type)})
		}
		w.end()
	}
	w.endList()
}

func (t *otlpTables) writeAttributes(w otlpWriter) {
	w.list(dictionaryAttributes)
	for _, a := range t.attributes.list {
		t.writeAttribute(w, a)
	}
	for _, address := range t.locks {
		t.writeAttribute(w, otlpAttribute{key: profile.AttrLockAddress, kind: intValue, n: int64(address)})
	}
	w.endList()
}

func (t *otlpTables) writeAttribute(w otlpWriter, a otlpAttribute) {
	w.begin(dictionaryAttributes)
	w.index(attributeKey, t.string(a.key))
	w.begin(attributeValue)
	a.write(w)
	w.end()
	w.end()
}

// write writes the value.
func (a *otlpAttribute) write(w otlpWriter) {
	switch a.kind {
	case textValue:
		w.text(valueString, valid(a.text))
	case intValue:
		w.number(valueInt, a.n)
	case trueValue:
		w.flag(valueBool)
	}
}

func (t *otlpTables) writeStacks(w otlpWriter, m *profilestore.Merge) {
	w.list(dictionaryStacks)
	w.begin(dictionaryStacks)
	w.end()
	var numbers []int32
	for _, s := range t.stacks {
		if w.failed() {
			return
		}
		numbers = numbers[:0]
		for rest := m.Stacks[s].Frames; len(rest) > 0; {
			var at []*profile.Frame
			at, rest = cutLocation(rest)
			n, _ := t.locations.number(at)
			numbers = append(numbers, n)
		}
		w.begin(dictionaryStacks)
		w.indices(stackLocations, numbers)
		w.end()
	}
	w.endList()
}
