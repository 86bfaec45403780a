package profile

import (
	"errors"
	"fmt"
	"sort"
	"strconv"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pprofile"
)

// ErrInvalid is the cause of every error about profiles that break the OTLP
// data model or a limit. Such data will never become valid, so it is not worth
// a retry.
var ErrInvalid = errors.New("invalid profile")

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrInvalid, fmt.Sprintf(format, args...))
}

// Limits bound what one Profiles may hold. Zero fields take the default.
type Limits struct {
	// MaxFrames is the largest number of frames of a stack, inlined ones
	// included (default 2048).
	MaxFrames int
	// MaxTotalFrames is the largest number of frames of all stacks together
	// (default 8 Mi). Without it, locations with many lines would let a small
	// message unfold into a large one.
	MaxTotalFrames int
	// MaxStringLength is the longest string in bytes (default 64 KiB).
	MaxStringLength int
	// MaxGroups is the largest number of groups (default 64 Ki): observations
	// of one series and kind that fall into many time buckets make one each.
	MaxGroups int
	// MaxLabels is the largest number of attributes of a resource, profile or
	// sample (default 256).
	MaxLabels int
	// MaxExemplars is the largest number of exemplars of a group (default 4096).
	// Further ones are left out.
	MaxExemplars int
}

// DefaultMaxExemplars is the default of [Limits].MaxExemplars: as many as samples in a
// large profile, and half a megabyte.
const DefaultMaxExemplars = 4096

func (l Limits) withDefaults() Limits {
	if l.MaxFrames == 0 {
		l.MaxFrames = 2048
	}
	if l.MaxTotalFrames == 0 {
		l.MaxTotalFrames = 8 << 20
	}
	if l.MaxStringLength == 0 {
		l.MaxStringLength = 64 << 10
	}
	if l.MaxGroups == 0 {
		l.MaxGroups = 64 << 10
	}
	if l.MaxLabels == 0 {
		l.MaxLabels = 256
	}
	if l.MaxExemplars == 0 {
		l.MaxExemplars = DefaultMaxExemplars
	}
	return l
}

// Label is a name and its value.
type Label struct {
	Name, Value string
}

// SampleAttributes are the attributes of a sample, with those that our tables
// keep in columns of their own taken apart.
type SampleAttributes struct {
	// Labels are all other attributes, sorted by name; LabelsID is their
	// content hash, zero where there are none.
	Labels   []Label
	LabelsID ID
	// ID is the content hash of everything in SampleAttributes.
	ID ID

	LockAddress uint64
	Syscall     int64 // -1 where the sample is of no system call
	Bucket      uint8
	Error       bool
}

// Label returns the value of the label with that name, empty if there is none.
func (a *SampleAttributes) Label(name string) string {
	return labelValue(a.Labels, name)
}

// Dictionary is a validated view of the dictionary of a [pprofile.Profiles]:
// every index in it has been checked, every frame and stack has its content ID.
// It aliases the strings of the Profiles. It is not safe for concurrent use,
// because sets of attributes are resolved when they are first asked for.
type Dictionary struct {
	limits Limits

	// Frames holds the frames of all locations.
	Frames []Frame
	// FrameIDs is parallel to Frames.
	FrameIDs []ID
	// Stacks holds each stack as indices into Frames, leaf first; stack 0 is empty.
	Stacks [][]int32
	// StackIDs is parallel to Stacks.
	StackIDs []ID
	// Attributes holds the sets of sample attributes seen so far; set 0 is empty.
	Attributes []SampleAttributes

	strings   []string
	attrs     []attribute
	locations []location
	functions []Function
	// functionIDs is parallel to functions.
	functionIDs []ID
	sets        map[string]int32
	links       int
	scratch     []byte
	chunks      [][]int32 // where Stacks are
	chunksUsed  int
	entries     []Entry // where those of groups are
}

type attribute struct {
	key   string
	value pcommon.Value
}

// NewDictionary validates dic. The error wraps [ErrInvalid] and names the table,
// the entry and the limit.
func NewDictionary(dic pprofile.ProfilesDictionary, limits Limits) (*Dictionary, error) {
	d := dictionaries.Get().(*Dictionary)
	d.limits = limits.withDefaults()
	d.Attributes = append(d.Attributes, SampleAttributes{Syscall: -1})
	for _, read := range []func(pprofile.ProfilesDictionary) error{
		d.readStrings, d.readAttributes, d.readLocations, d.readStacks,
	} {
		if err := read(dic); err != nil {
			return nil, err
		}
	}
	d.links = dic.LinkTable().Len()
	return d, nil
}

func (d *Dictionary) readStrings(dic pprofile.ProfilesDictionary) error {
	t := dic.StringTable()
	d.strings = sized(d.strings, t.Len())
	for i := range d.strings {
		s := t.At(i)
		if len(s) > d.limits.MaxStringLength {
			return invalid("string_table[%d] is %d bytes long; the limit is %d", i, len(s), d.limits.MaxStringLength)
		}
		d.strings[i] = s
	}
	return nil
}

// str returns a string of the table; entry and field name the reference in the error.
func (d *Dictionary) str(i int32, table string, entry int, field string) (string, error) {
	if i == 0 && len(d.strings) == 0 {
		return "", nil
	}
	if i < 0 || int(i) >= len(d.strings) {
		return "", invalid("%s[%d].%s is %d; string_table has %d entries", table, entry, field, i, len(d.strings))
	}
	return d.strings[i], nil
}

func (d *Dictionary) readAttributes(dic pprofile.ProfilesDictionary) error {
	t := dic.AttributeTable()
	d.attrs = sized(d.attrs, t.Len())
	for i := range d.attrs {
		e := t.At(i)
		key, err := d.str(e.KeyStrindex(), "attribute_table", i, "key_strindex")
		if err != nil {
			return err
		}
		if v := e.Value(); v.Type() == pcommon.ValueTypeStr && len(v.Str()) > d.limits.MaxStringLength {
			return invalid("attribute_table[%d].value is %d bytes long; the limit is %d", i, len(v.Str()), d.limits.MaxStringLength)
		}
		d.attrs[i] = attribute{key, e.Value()}
	}
	return nil
}

func (d *Dictionary) attr(i int32, where string) (attribute, error) {
	if i < 0 || int(i) >= len(d.attrs) {
		return attribute{}, invalid("%s.attribute_indices has %d; attribute_table has %d entries", where, i, len(d.attrs))
	}
	return d.attrs[i], nil
}

// AttributeSet returns the index in Attributes of the set with these attribute
// indices; where names the sample in the error.
func (d *Dictionary) AttributeSet(indices pcommon.Int32Slice, where string) (int32, error) {
	n := indices.Len()
	if n == 0 {
		return 0, nil
	}
	if n > d.limits.MaxLabels {
		return 0, invalid("%s has %d attributes; the limit is %d", where, n, d.limits.MaxLabels)
	}
	key := d.scratch[:0]
	for i := range n {
		v := indices.At(i)
		key = append(key, byte(v), byte(v>>8), byte(v>>16), byte(v>>24))
	}
	d.scratch = key
	if i, ok := d.sets[string(key)]; ok {
		return i, nil
	}
	set := SampleAttributes{Syscall: -1}
	for i := range n {
		a, err := d.attr(indices.At(i), where)
		if err != nil {
			return 0, err
		}
		set.add(a)
	}
	setKey := string(key)
	d.scratch = set.finish(d.scratch)
	i := int32(len(d.Attributes))
	d.Attributes = append(d.Attributes, set)
	d.sets[setKey] = i
	return i, nil
}

func (a *SampleAttributes) add(at attribute) {
	switch at.key {
	case AttrLockAddress:
		a.LockAddress = uint64(intValue(at.value))
	case AttrSyscallNumber:
		a.Syscall = intValue(at.value)
	case AttrLatencyBucket:
		a.Bucket = uint8(min(max(intValue(at.value), 0), LatencyBuckets-1))
	case AttrError:
		a.Error = at.value.Type() == pcommon.ValueTypeBool && at.value.Bool()
	case "":
	default:
		a.Labels = append(a.Labels, Label{at.key, at.value.AsString()})
	}
}

// finish sorts the labels and computes the IDs.
func (a *SampleAttributes) finish(scratch []byte) []byte {
	a.Labels = sortLabels(a.Labels)
	a.LabelsID, scratch = LabelsID(a.Labels, scratch)
	b := append(scratch[:0], 'a')
	b = AppendID(b, a.LabelsID)
	b = strconv.AppendUint(b, a.LockAddress, 16)
	b = append(b, ',')
	b = strconv.AppendInt(b, a.Syscall, 16)
	b = append(b, ',', a.Bucket)
	if a.Error {
		b = append(b, 'e')
	}
	a.ID = HashBytes(b)
	return b
}

func intValue(v pcommon.Value) int64 {
	switch v.Type() {
	case pcommon.ValueTypeInt:
		return v.Int()
	case pcommon.ValueTypeDouble:
		return int64(v.Double())
	case pcommon.ValueTypeStr:
		n, _ := strconv.ParseInt(v.Str(), 0, 64)
		return n
	}
	return 0
}

// sortLabels sorts labels by name and keeps the last of those with equal names.
func sortLabels(labels []Label) []Label {
	sort.SliceStable(labels, func(i, j int) bool { return labels[i].Name < labels[j].Name })
	out := labels[:0]
	for i, l := range labels {
		if i+1 < len(labels) && labels[i+1].Name == l.Name {
			continue
		}
		out = append(out, l)
	}
	return out
}

func labelValue(labels []Label, name string) string {
	for _, l := range labels {
		if l.Name == name {
			return l.Value
		}
	}
	return ""
}

// LabelsID returns the content hash of labels that are sorted by name, the zero
// ID for none. scratch is reused and returned.
func LabelsID(labels []Label, scratch []byte) (ID, []byte) {
	if len(labels) == 0 {
		return ID{}, scratch
	}
	b := append(scratch[:0], 'm')
	for _, l := range labels {
		b = AppendString(b, l.Name)
		b = AppendString(b, l.Value)
	}
	return HashBytes(b), b
}
