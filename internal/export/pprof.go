package export

import (
	"compress/gzip"
	"io"
	"strconv"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/aperture-collector/aperture-collector/internal/aperturejson"
	"github.com/aperture-collector/aperture-collector/internal/profile"
)

// Fields of the messages of profile.proto,
// https://github.com/google/pprof/blob/main/proto/profile.proto.
const (
	pprofSampleType, pprofSample, pprofMapping, pprofLocation, pprofFunction = 1, 2, 3, 4, 5
	pprofString, pprofTime, pprofDuration, pprofPeriodType, pprofPeriod      = 6, 9, 10, 11, 12
	pprofDefaultType                                                         = 14

	valueTypeType, valueTypeUnit = 1, 2

	sampleLocations, sampleValues, sampleLabel = 1, 2, 3
	labelKey, labelString                      = 1, 2

	mappingID, mappingFile, mappingBuildID                         = 1, 5, 6
	mappingHasFunctions, mappingHasInlined                         = 7, 10
	locationID, locationMapping, locationAddress, locationLine     = 1, 2, 3, 4
	lineFunction, lineLine                                         = 1, 2
	functionID, functionName, functionSystem, functionFile, funcLn = 1, 2, 3, 4, 5
)

// WritePprof writes p as a gzipped Profile of pprof's profile.proto. Its sample
// types are those of the kind, the first one the default; what was observed
// without a stack is a sample without locations, so that sums are those of the
// rows. Samples have the label `aperture.lock.address` where the row has a lock,
// and `syscall.name` and `aperture.syscall.number` for rows by system call.
//
// Mappings say that their functions are known: pprof must not look for the rest
// in files of the computer that it happens to run on.
//
// It stops at the first error of w and returns it.
func WritePprof(w io.Writer, p *Profile) error {
	z, err := gzip.NewWriterLevel(w, gzip.BestSpeed)
	if err != nil {
		return err
	}
	if err := WritePprofMessage(z, p); err != nil {
		return err
	}
	return z.Close()
}

// WritePprofMessage is [WritePprof] without the compression.
func WritePprofMessage(w io.Writer, p *Profile) error {
	e := pprofEncoder{
		out: fieldWriter{w: w}, p: p, strings: map[string]int64{"": 0}, functions: make(map[profile.Function]uint64),
		mappings: make(map[pprofMappingKey]uint64), locations: newLocations(),
	}
	e.out.bytes(pprofString, nil)
	e.head()
	for i := range p.Kind.Rows {
		if e.sample(i); e.out.err != nil {
			return e.out.err
		}
	}
	return e.out.flush()
}

// pprofEncoder writes the entries of tables when they are first met: in
// profile.proto, fields can come in any order.
type pprofEncoder struct {
	out       fieldWriter
	p         *Profile
	strings   map[string]int64
	functions map[profile.Function]uint64
	mappings  map[pprofMappingKey]uint64
	locations *locations

	// Reused.
	message, packed, inner []byte
}

type pprofMappingKey struct{ file, buildID string }

func (e *pprofEncoder) head() {
	k := e.p.Kind
	for _, t := range e.p.types() {
		e.out.bytes(pprofSampleType, e.valueType(t))
	}
	if types := e.p.types(); len(types) > 0 {
		e.out.varint(pprofDefaultType, uint64(e.string(types[0].Type)))
	}
	e.out.varint(pprofTime, uint64(k.Start))
	e.out.varint(pprofDuration, uint64(e.p.duration()))
	if k.Kind == profile.KindCPU {
		e.out.bytes(pprofPeriodType, e.valueType(profile.ValueType{Type: "cpu", Unit: "nanoseconds"}))
		e.out.varint(pprofPeriod, uint64(k.Period))
	}
}

func (e *pprofEncoder) valueType(t profile.ValueType) []byte {
	b := appendVarint(nil, valueTypeType, uint64(e.string(t.Type)))
	return appendVarint(b, valueTypeUnit, uint64(e.string(t.Unit)))
}

func (e *pprofEncoder) string(s string) int64 {
	n, ok := e.strings[s]
	if !ok {
		n = int64(len(e.strings))
		e.strings[s] = n
		e.out.bytes(pprofString, []byte(valid(s)))
	}
	return n
}

func (e *pprofEncoder) sample(i int) {
	row := &e.p.Kind.Rows[i]
	e.packed = e.packed[:0]
	for rest := e.p.frames(row); len(rest) > 0; {
		var at []*profile.Frame
		at, rest = cutLocation(rest)
		n, isNew := e.locations.number(at)
		if isNew {
			e.location(uint64(n), at)
		}
		e.packed = protowire.AppendVarint(e.packed, uint64(n))
	}
	m := e.message[:0]
	if len(e.packed) > 0 {
		m = appendBytes(m, sampleLocations, e.packed)
	}
	e.packed = e.packed[:0]
	for v := range e.p.types() {
		e.packed = protowire.AppendVarint(e.packed, uint64(row.Values[v]))
	}
	m = appendBytes(m, sampleValues, e.packed)
	if row.LockAddress != 0 {
		m = e.label(m, profile.AttrLockAddress, hexAddress(row.LockAddress))
	}
	if e.p.BySyscall {
		s := &e.p.Kind.Syscalls[i]
		m = e.label(m, profile.AttrSyscallName, aperturejson.SyscallName(s))
		// As text: a number label of 0, which read has, is the same as none.
		m = e.label(m, profile.AttrSyscallNumber, strconv.FormatInt(s.Number, 10))
	}
	e.message = m
	e.out.bytes(pprofSample, m)
}

func (e *pprofEncoder) label(m []byte, key, value string) []byte {
	e.inner = appendVarint(e.inner[:0], labelKey, uint64(e.string(key)))
	e.inner = appendVarint(e.inner, labelString, uint64(e.string(value)))
	return appendBytes(m, sampleLabel, e.inner)
}

// location writes a location. The address and the mapping are those of the frame
// that the others were inlined into.
func (e *pprofEncoder) location(id uint64, frames []*profile.Frame) {
	f := frames[len(frames)-1]
	m := appendVarint(nil, locationID, id)
	m = appendVarint(m, locationMapping, e.mapping(f))
	m = appendVarint(m, locationAddress, f.Address)
	for _, f := range frames {
		if f.Function.IsZero() {
			continue
		}
		e.inner = appendVarint(e.inner[:0], lineFunction, e.function(f.Function))
		e.inner = appendVarint(e.inner, lineLine, uint64(f.Line))
		m = appendBytes(m, locationLine, e.inner)
	}
	e.out.bytes(pprofLocation, m)
}

// mapping returns the mapping of a frame. Frames of which none is known share
// one without a name: pprof would make one up and look for its functions.
func (e *pprofEncoder) mapping(f *profile.Frame) uint64 {
	key := pprofMappingKey{f.Mapping, f.BuildID}
	id, ok := e.mappings[key]
	if !ok {
		id = uint64(len(e.mappings) + 1)
		e.mappings[key] = id
		m := appendVarint(nil, mappingID, id)
		m = appendVarint(m, mappingFile, uint64(e.string(f.Mapping)))
		m = appendVarint(m, mappingBuildID, uint64(e.string(f.BuildID)))
		for has := protowire.Number(mappingHasFunctions); has <= mappingHasInlined; has++ {
			m = appendVarint(m, has, 1)
		}
		e.out.bytes(pprofMapping, m)
	}
	return id
}

func (e *pprofEncoder) function(f profile.Function) uint64 {
	id, ok := e.functions[f]
	if !ok {
		id = uint64(len(e.functions) + 1)
		e.functions[f] = id
		m := appendVarint(nil, functionID, id)
		m = appendVarint(m, functionName, uint64(e.string(f.Name)))
		m = appendVarint(m, functionSystem, uint64(e.string(f.SystemName)))
		m = appendVarint(m, functionFile, uint64(e.string(f.Filename)))
		m = appendVarint(m, funcLn, uint64(f.StartLine))
		e.out.bytes(pprofFunction, m)
	}
	return id
}
