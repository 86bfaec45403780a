package profileimport

import (
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/aperture-collector/aperture-collector/internal/pprofwire"
	"github.com/aperture-collector/aperture-collector/internal/profile"
)

// builder makes a profile of pprof with every function, location and stack once.
type builder struct {
	types                   []profile.ValueType
	periodType              profile.ValueType
	period, start, duration int64
	functions, strings      map[string]uint64
	names                   []string // of functions
	table                   []string
	locations               map[locationKey]uint64
	keys                    []locationKey // of locations
	samples                 map[string]*sample
	order                   []*sample
	key                     []byte
	stack                   []uint64
}

type locationKey struct {
	function string
	address  uint64
	line     int64
}

// sample is a stack, leaf first, and its values.
type sample struct {
	locations []uint64
	values    []int64
}

func newBuilder(kind string, types ...profile.ValueType) *builder {
	b := &builder{
		types:     types,
		functions: make(map[string]uint64),
		strings:   map[string]uint64{"": 0},
		table:     []string{""},
		locations: make(map[locationKey]uint64),
		samples:   make(map[string]*sample),
	}
	if kind == profile.KindCPU {
		b.periodType = profile.ValueType{Type: "cpu", Unit: "nanoseconds"}
	}
	return b
}

// location returns the id of a location.
func (b *builder) location(k locationKey) uint64 {
	id, ok := b.locations[k]
	if !ok {
		b.keys = append(b.keys, k)
		id = uint64(len(b.keys))
		b.locations[k] = id
	}
	return id
}

// sample returns the sample of a stack, leaf first, which is not kept.
func (b *builder) sample(stack []uint64) *sample {
	b.key = b.key[:0]
	for _, l := range stack {
		b.key = append(b.key, byte(l), byte(l>>8), byte(l>>16), byte(l>>24))
	}
	s := b.samples[string(b.key)]
	if s == nil {
		s = &sample{locations: append([]uint64(nil), stack...), values: make([]int64, len(b.types))}
		b.order = append(b.order, s)
		b.samples[string(b.key)] = s
	}
	return s
}

// profile returns what was built.
func (b *builder) profile() (*pprofwire.Profile, error) {
	return pprofwire.Parse(b.encode(), limits)
}

// Fields of profile.proto,
// https://github.com/google/pprof/blob/main/proto/profile.proto.
const (
	profileSampleType, profileSample, profileLocation, profileFunction = 1, 2, 4, 5
	profileString, profileTime, profileDuration                        = 6, 9, 10
	profilePeriodType, profilePeriod                                   = 11, 12

	typeType, typeUnit                        = 1, 2
	sampleLocation, sampleValue               = 1, 2
	locationID, locationAddress, locationLine = 1, 3, 4
	lineFunction, lineLine                    = 1, 2
	functionID, functionName                  = 1, 2
)

// encode returns the profile as profile.proto.
func (b *builder) encode() []byte {
	var out []byte
	for _, t := range b.types {
		out = appendMessage(out, profileSampleType, b.valueType(t))
	}
	if b.periodType != (profile.ValueType{}) {
		out = appendMessage(out, profilePeriodType, b.valueType(b.periodType))
	}
	out = appendNumber(out, profilePeriod, uint64(b.period))
	out = appendNumber(out, profileTime, uint64(b.start))
	out = appendNumber(out, profileDuration, uint64(b.duration))
	var m, packed []byte
	for _, s := range b.order {
		m, packed = m[:0], packed[:0]
		for _, l := range s.locations {
			packed = protowire.AppendVarint(packed, l)
		}
		m, packed = appendMessage(m, sampleLocation, packed), packed[:0]
		for _, v := range s.values {
			packed = protowire.AppendVarint(packed, uint64(v))
		}
		out = appendMessage(out, profileSample, appendMessage(m, sampleValue, packed))
	}
	for i, k := range b.keys {
		m = appendNumber(m[:0], locationID, uint64(i+1))
		m = appendNumber(m, locationAddress, k.address)
		if k.function != "" {
			packed = appendNumber(packed[:0], lineFunction, b.function(k.function))
			m = appendMessage(m, locationLine, appendNumber(packed, lineLine, uint64(k.line)))
		}
		out = appendMessage(out, profileLocation, m)
	}
	for i, name := range b.names {
		m = appendNumber(m[:0], functionID, uint64(i+1))
		out = appendMessage(out, profileFunction, appendNumber(m, functionName, b.string(name)))
	}
	for _, s := range b.table {
		out = appendMessage(out, profileString, []byte(s))
	}
	return out
}

func (b *builder) valueType(t profile.ValueType) []byte {
	return appendNumber(appendNumber(nil, typeType, b.string(t.Type)), typeUnit, b.string(t.Unit))
}

func (b *builder) function(name string) uint64 {
	id, ok := b.functions[name]
	if !ok {
		b.names = append(b.names, name)
		id = uint64(len(b.names))
		b.functions[name] = id
	}
	return id
}

func (b *builder) string(s string) uint64 {
	i, ok := b.strings[s]
	if !ok {
		i = uint64(len(b.table))
		b.table = append(b.table, s)
		b.strings[s] = i
	}
	return i
}

func appendNumber(b []byte, field protowire.Number, v uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(b, field, protowire.VarintType), v)
}

func appendMessage(b []byte, field protowire.Number, m []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, field, protowire.BytesType), m)
}
