package aggregate

import (
	"strings"
	"unsafe"

	"github.com/aperture-collector/aperture-collector/internal/profile"
)

// Estimated sizes in bytes of what the Table holds, the entry in its map
// included. Go's maps are between half and 7/8 full; 1.5 slots per entry is
// their mean.
const (
	stackBytes    = int64(unsafe.Sizeof(Stack{})) + 36
	frameBytes    = int64(unsafe.Sizeof(frame{})) + 36
	functionBytes = int64(unsafe.Sizeof(function{})) + 36
	mappingBytes  = int64(unsafe.Sizeof(mapping{})) + 60
)

// Stack is the content of a stack. All but the fields that a Table and a Window
// keep in it for themselves is immutable.
type Stack struct {
	id     profile.ID
	frames []*frame // leaf first

	prev, next *Stack // in the Table's list by time of use
	window     uint64 // number of the last Window that used it
	slot       int32  // its index in the stacks of that Window
	kept       int32  // windows of [Recent] that have it; Recent guards it
}

func (s *Stack) bytes() int64 { return stackBytes + 8*int64(len(s.frames)) }

type frame struct {
	profile.Frame
	id      profile.ID
	fn      *function
	mapping *mapping
	refs    int32  // stacks of the Table that have it
	window  uint64 // number of the last Window that counted it

	kept int32 // stacks kept by [Recent] that have it; Recent guards it

	// Where the last encoder put it. Only [Window.Profiles] uses these.
	encoded  uint64
	location int32 // the run that it begins, if it was inlined
}

type function struct {
	profile.Function
	id   profile.ID
	refs int32

	// As those of a frame.
	index   int32
	encoded uint64
}

func (f *function) bytes() int64 {
	return functionBytes + int64(len(f.Name)+len(f.SystemName)+len(f.Filename))
}

type mappingKey struct{ file, buildID string }

type mapping struct {
	mappingKey
	refs int32

	// As those of a frame.
	index   int32
	encoded uint64
}

// Table holds the content of stacks by their ID, so that what every push
// repeats is copied and encoded once. Stacks that were not used for the longest
// time make room for new ones; frames, functions and mappings go with the last
// stack that has them.
//
// A Table and its Windows are not safe for concurrent use, except that
// [Window.Profiles] of one closed Window may run at a time with everything else.
type Table struct {
	limit, bytes int64
	evicted      uint64
	windows      uint64
	encodings    uint64 // only [Window.Profiles] uses it

	stacks    map[profile.ID]*Stack
	frames    map[profile.ID]*frame
	functions map[profile.ID]*function
	mappings  map[mappingKey]*mapping
	used      Stack              // list head: next is the most recently used, prev the least
	index     profile.EntryIndex // of the current Window
}

// NewTable returns a Table that holds about limit bytes, and beyond that only
// the stacks of the current Window.
func NewTable(limit int64) *Table {
	t := &Table{
		limit:     limit,
		stacks:    make(map[profile.ID]*Stack),
		frames:    make(map[profile.ID]*frame),
		functions: make(map[profile.ID]*function),
		mappings:  make(map[mappingKey]*mapping),
	}
	t.used.prev, t.used.next = &t.used, &t.used
	return t
}

// TableStats are the figures of a [Table].
type TableStats struct {
	// Stacks and Bytes are what is held, Evicted the number of stacks that made
	// room since the start.
	Stacks  int
	Bytes   int64
	Evicted uint64
}

// Stats returns the figures of t.
func (t *Table) Stats() TableStats {
	return TableStats{Stacks: len(t.stacks), Bytes: t.bytes, Evicted: t.evicted}
}

// intern returns the Stack with index i of d as the most recently used one.
func (t *Table) intern(d *profile.Dictionary, i int32) *Stack {
	id := d.StackIDs[i]
	s := t.stacks[id]
	if s == nil {
		s = t.add(d, d.Stacks[i], id)
	} else {
		s.unlink()
	}
	s.prev, s.next = &t.used, t.used.next
	s.next.prev, t.used.next = s, s
	return s
}

func (t *Table) add(d *profile.Dictionary, frames []int32, id profile.ID) *Stack {
	s := &Stack{id: id, frames: make([]*frame, len(frames))}
	for n, f := range frames {
		s.frames[n] = t.frame(&d.Frames[f], d.FrameIDs[f])
		s.frames[n].refs++
	}
	t.stacks[id] = s
	t.bytes += s.bytes()
	return s
}

func (t *Table) frame(src *profile.Frame, id profile.ID) *frame {
	f := t.frames[id]
	if f != nil {
		return f
	}
	f = &frame{Frame: *src, id: id, fn: t.function(src), mapping: t.mapping(src)}
	f.fn.refs++
	f.mapping.refs++
	f.Function = f.fn.Function
	f.Mapping, f.BuildID = f.mapping.file, f.mapping.buildID
	f.Type = frameType(src.Type)
	t.frames[id] = f
	t.bytes += frameBytes
	return f
}

// frameType returns a copy of s, or the constant equal to it.
func frameType(s string) string {
	for _, known := range [...]string{"", profile.FrameKernel, profile.FrameNative, profile.FrameGo} {
		if s == known {
			return known
		}
	}
	return strings.Clone(s)
}

func (t *Table) function(src *profile.Frame) *function {
	f := t.functions[src.FunctionID]
	if f == nil {
		f = &function{id: src.FunctionID, Function: profile.Function{
			Name:       strings.Clone(src.Function.Name),
			SystemName: strings.Clone(src.Function.SystemName),
			Filename:   strings.Clone(src.Function.Filename),
			StartLine:  src.Function.StartLine,
		}}
		t.functions[f.id] = f
		t.bytes += f.bytes()
	}
	return f
}

func (t *Table) mapping(src *profile.Frame) *mapping {
	m := t.mappings[mappingKey{src.Mapping, src.BuildID}]
	if m == nil {
		m = &mapping{mappingKey: mappingKey{strings.Clone(src.Mapping), strings.Clone(src.BuildID)}}
		t.mappings[m.mappingKey] = m
		t.bytes += mappingBytes + int64(len(m.file)+len(m.buildID))
	}
	return m
}

// trim evicts stacks that the current Window does not use while t is too large.
func (t *Table) trim() {
	for t.bytes > t.limit {
		s := t.used.prev
		if s == &t.used || s.window == t.windows {
			return
		}
		s.unlink()
		t.remove(s)
		t.evicted++
	}
}

func (s *Stack) unlink() {
	s.prev.next, s.next.prev = s.next, s.prev
	s.prev, s.next = nil, nil
}

func (t *Table) remove(s *Stack) {
	delete(t.stacks, s.id)
	t.bytes -= s.bytes()
	for _, f := range s.frames {
		if f.refs--; f.refs > 0 {
			continue
		}
		delete(t.frames, f.id)
		t.bytes -= frameBytes
		if f.fn.refs--; f.fn.refs == 0 {
			delete(t.functions, f.fn.id)
			t.bytes -= f.fn.bytes()
		}
		if f.mapping.refs--; f.mapping.refs == 0 {
			delete(t.mappings, f.mapping.mappingKey)
			t.bytes -= mappingBytes + int64(len(f.mapping.file)+len(f.mapping.buildID))
		}
	}
}
