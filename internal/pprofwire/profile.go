package pprofwire

import (
	"bytes"
	"strings"
	"unsafe"
)

// Profile is a decoded profile. All indices in it are valid. Slices and strings
// are valid until the next call of [Profile.Parse], and only as long as the data
// that was parsed is unchanged: strings, and what is not gzipped, stay there.
//
// The zero value is empty. Reading it is safe for concurrent use.
type Profile struct {
	SampleTypes []ValueType
	Mappings    []Mapping
	Locations   []Location
	Functions   []Function

	// TimeNanos is the start in Unix nanoseconds, 0 if it is not known;
	// DurationNanos is in nanoseconds.
	TimeNanos, DurationNanos int64
	// PeriodType and Period say what is between two samples.
	PeriodType ValueType
	Period     int64
	// Comments and the fields after it are string indices.
	Comments                                          []uint32
	DropFrames, KeepFrames, DefaultSampleType, DocURL uint32

	data     []byte // inflated
	strings  []extent
	lines    []Line
	maxLines int // of one location
	// samples are where samples are in data, ends where their locations and labels
	// end in refs and labels. Their values are one after another in values.
	samples []extent
	ends    []sampleEnd
	refs    []uint32
	values  []int64
	labels  []Label

	locationIDs, functionIDs, mappingIDs idTable
	inflated                             []byte // memory for data
}

// extent is a range of bytes of the data.
type extent struct{ start, end uint32 }

type sampleEnd struct{ refs, labels uint32 }

// ValueType is what a number means. Type and Unit are string indices.
type ValueType struct{ Type, Unit uint32 }

// Mapping is an executable or library. Filename and BuildID are string indices.
type Mapping struct {
	ID, Start, Limit, Offset                                    uint64
	Filename, BuildID                                           uint32
	HasFunctions, HasFilenames, HasLineNumbers, HasInlineFrames bool
}

// Function is a function. Name, SystemName and Filename are string indices.
type Function struct {
	ID                         uint64
	Name, SystemName, Filename uint32
	StartLine                  int64
}

// Location is an address with the functions there, see [Profile.Lines].
type Location struct {
	ID, Address uint64
	// Mapping is an index of Mappings, -1 for none. (It is the id until the first
	// pass has ended, as is Line.Function.)
	Mapping             int
	firstLine, numLines uint32
	// IsFolded says that more than one symbol maps to the address.
	IsFolded bool
}

// Line is a function of a location. Function is an index of Functions.
type Line struct {
	Function     int
	Line, Column int64
}

// Label is a label of a sample. Key, Str and Unit are string indices. A label
// whose Str is 0 has the number Num, whose unit may be missing.
type Label struct {
	Key, Str, Unit uint32
	Num            int64
}

// Sample is what was observed for a stack and labels.
type Sample struct {
	// Locations are indices of Profile.Locations, leaf first.
	Locations []uint32
	// Values has one number for each of the sample types.
	Values []int64
	// Labels are in the order of the file; a key may come more than once.
	Labels []Label
}

// Size returns the size of the inflated data in bytes.
func (p *Profile) Size() int { return len(p.data) }

// Contains reports whether a text is anywhere in the inflated data.
func (p *Profile) Contains(text string) bool { return bytes.Contains(p.data, []byte(text)) }

// CommentsSize returns how many bytes the comments have together.
func (p *Profile) CommentsSize() (n int) {
	for _, i := range p.Comments {
		n += len(p.String(i))
	}
	return n
}

// NumStrings returns the number of strings.
func (p *Profile) NumStrings() int { return len(p.strings) }

// String returns a string as it is in the profile, which may not be UTF-8. It
// aliases the data.
func (p *Profile) String(i uint32) string {
	s := p.strings[i]
	if s.start == s.end {
		return ""
	}
	return unsafe.String(&p.data[s.start], int(s.end-s.start))
}

// Text returns a string with what is not UTF-8 replaced by U+FFFD. It may alias
// the data.
func (p *Profile) Text(i uint32) string { return strings.ToValidUTF8(p.String(i), "\ufffd") }

// Lines returns the functions of a location, the innermost inlined one first. It
// is empty for an address that has no symbol.
func (p *Profile) Lines(location uint32) []Line {
	l := &p.Locations[location]
	return p.lines[l.firstLine : l.firstLine+l.numLines]
}

// NumSamples returns the number of samples.
func (p *Profile) NumSamples() int { return len(p.ends) }

// Sample returns sample i. It takes no memory.
func (p *Profile) Sample(i int) Sample {
	var start sampleEnd
	if i > 0 {
		start = p.ends[i-1]
	}
	end, n := p.ends[i], len(p.SampleTypes)
	return Sample{
		Locations: p.refs[start.refs:end.refs],
		Values:    p.values[i*n : (i+1)*n],
		Labels:    p.labels[start.labels:end.labels],
	}
}

// reset empties p and keeps its memory.
func (p *Profile) reset() {
	*p = Profile{
		SampleTypes: p.SampleTypes[:0], Mappings: p.Mappings[:0], Locations: p.Locations[:0], Functions: p.Functions[:0],
		Comments: p.Comments[:0], strings: p.strings[:0], lines: p.lines[:0], samples: p.samples[:0], ends: p.ends[:0],
		refs: p.refs[:0], values: p.values[:0], labels: p.labels[:0], inflated: p.inflated[:0],
		locationIDs: p.locationIDs.empty(), functionIDs: p.functionIDs.empty(), mappingIDs: p.mappingIDs.empty(),
	}
}
