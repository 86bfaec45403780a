package export

import (
	"cmp"
	"io"
	"maps"
	"slices"

	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// OTLPEncoding is one of the encodings of OTLP.
type OTLPEncoding uint8

const (
	// OTLPProto is binary protobuf.
	OTLPProto OTLPEncoding = iota
	// OTLPJSON is OTLP/JSON.
	OTLPJSON
)

const otlpScope = "github.com/aperture-collector/aperture-collector/internal/export"

// WriteOTLP writes m as a ProfilesData that [profile.Split] takes apart into the
// same sums: kinds, types, stacks, locks, system calls with their latency buckets
// and failures, numbers of observations, least and largest ones and times. m must
// tell locks and the rows of system calls apart (ByLock and SyscallRows);
// BySyscall brings the names of system calls. attributes are those of the
// resource, what is known to hold for everything in m.
//
// It keeps what it needs to number functions, frames and locks, and 8 bytes for a
// stack. It stops at the first error of w and returns it.
func WriteOTLP(w io.Writer, m *profilestore.Merge, attributes map[string]string, encoding OTLPEncoding) error {
	e := otlpEncoder{m: m, t: newOTLPTables(m)}
	e.number()
	if encoding == OTLPJSON {
		j := &otlpJSON{jsonWriter: jsonWriter{w: w}}
		j.open("{", false)
		e.w = j
		e.data(attributes)
		j.close("}\n")
		return j.flush()
	}
	p := &otlpProto{}
	e.w = p
	return p.writeTwice(w, func() { e.data(attributes) })
}

type otlpEncoder struct {
	m *profilestore.Merge
	t *otlpTables
	w otlpWriter

	// Reused.
	indices []int32
	values  []int64
}

// otlpProfile is a profile of one sample type.
type otlpProfile struct {
	typ profile.ValueType
	// minRestMax has values in the layout of that name.
	minRestMax bool
	selects    func(*profilestore.Row) bool
	value      func(*profilestore.Row) int64
}

func all(*profilestore.Row) bool             { return true }
func bounded(r *profilestore.Row) bool       { return r.Min != 0 || r.Max != 0 }
func open(r *profilestore.Row) bool          { return !bounded(r) }
func observations(r *profilestore.Row) int64 { return int64(r.Count) }
func value(i int) func(*profilestore.Row) int64 {
	return func(r *profilestore.Row) int64 { return r.Values[i] }
}

// profiles returns the profiles of a kind, one for each of its types.
func (e *otlpEncoder) profiles(k *profilestore.KindMerge) []otlpProfile {
	var out []otlpProfile
	types := profile.Types(k.Kind)
	own := len(types) > 0
	for i, t := range (&Profile{Kind: k}).types() {
		switch {
		case i == 0 && t.Unit != "count":
			// Sums of which the least and largest observations are not known go to a
			// profile that does not claim any.
			for _, p := range []otlpProfile{{t, true, bounded, value(0)}, {t, false, open, value(0)}} {
				if slices.ContainsFunc(k.Rows, func(r profilestore.Row) bool { return p.selects(&r) }) {
					out = append(out, p)
				}
			}
		case i > 0 && i < len(types):
			out = append(out, otlpProfile{t, false, all, observations})
		default:
			out = append(out, otlpProfile{t, false, all, value(i)})
		}
	}
	if !own {
		out = append(out, otlpProfile{profile.ObservationsType, false, all, observations})
	}
	return out
}

// number puts everything that profiles refer to into the tables, which must not
// change while they are written.
func (e *otlpEncoder) number() {
	for i := range e.m.Kinds {
		k := &e.m.Kinds[i]
		for _, p := range e.profiles(k) {
			e.valueType(p.typ)
			e.profileAttributes(k, p)
		}
		e.valueType(cpuPeriod)
		for r := range k.Rows {
			e.sampleAttributes(k, &k.Rows[r])
		}
	}
	e.t.string(profile.AttrLockAddress)
}

var cpuPeriod = profile.ValueType{Type: "cpu", Unit: "nanoseconds"}

func (e *otlpEncoder) data(attributes map[string]string) {
	w := e.w
	w.list(dataResources)
	w.begin(dataResources)
	w.begin(resourceResource)
	w.list(resourceAttributes)
	for _, name := range slices.Sorted(maps.Keys(attributes)) {
		w.begin(resourceAttributes)
		w.text(keyValueKey, valid(name))
		w.begin(keyValueValue)
		w.text(valueString, valid(attributes[name]))
		w.end()
		w.end()
	}
	w.endList()
	w.end()
	w.list(resourceScopes)
	for i := range e.m.Kinds {
		// Each in a scope of its own: profiles of one kind in one scope are one.
		e.scope(&e.m.Kinds[i])
	}
	w.endList()
	w.end()
	w.endList()
	e.t.write(w, e.m)
}

func (e *otlpEncoder) scope(k *profilestore.KindMerge) {
	w := e.w
	w.begin(resourceScopes)
	w.begin(scopeScope)
	w.text(scopeName, otlpScope)
	w.end()
	w.list(scopeProfiles)
	for _, p := range e.profiles(k) {
		e.profile(k, p)
	}
	w.endList()
	w.end()
}

func (e *otlpEncoder) profile(k *profilestore.KindMerge, p otlpProfile) {
	w := e.w
	w.begin(scopeProfiles)
	e.writeType(profileSampleType, p.typ)
	w.list(profileSamples)
	for i := range k.Rows {
		if w.failed() {
			return
		}
		if row := &k.Rows[i]; p.selects(row) {
			e.sample(k, row, p)
		}
	}
	w.endList()
	w.time(profileTime, uint64(k.Start))
	w.uint(profileDuration, uint64(max(k.End-k.Start, 0)))
	if k.Kind == profile.KindCPU {
		e.writeType(profilePeriodType, cpuPeriod)
	}
	w.int(profilePeriod, k.Period)
	w.indices(profileAttributes, e.profileAttributes(k, p))
	w.end()
}

func (e *otlpEncoder) profileAttributes(k *profilestore.KindMerge, p otlpProfile) []int32 {
	out := []int32{e.t.textAttribute(profile.AttrKind, k.Kind)}
	if p.minRestMax {
		out = append(out, e.t.textAttribute(profile.AttrValues, profile.ValuesMinRestMax))
	}
	return out
}

func (e *otlpEncoder) valueType(t profile.ValueType) (typ, unit int32) {
	return e.t.string(t.Type), e.t.string(t.Unit)
}

func (e *otlpEncoder) writeType(f otlpField, t profile.ValueType) {
	typ, unit := e.valueType(t)
	e.w.begin(f)
	e.w.index(typeType, typ)
	e.w.index(typeUnit, unit)
	e.w.end()
}

func (e *otlpEncoder) sample(k *profilestore.KindMerge, row *profilestore.Row, p otlpProfile) {
	e.values = e.values[:0]
	if p.minRestMax {
		e.values = appendMinRestMax(e.values, row)
	} else {
		e.values = append(e.values, p.value(row))
	}
	e.w.begin(profileSamples)
	e.w.index(sampleStack, e.t.stackNumbers[row.Stack])
	e.w.indices(sampleAttributes, e.sampleAttributes(k, row))
	e.w.ints(sampleNumbers, e.values)
	e.w.end()
}

// sampleAttributes returns the attributes of a row, valid until the next call.
func (e *otlpEncoder) sampleAttributes(k *profilestore.KindMerge, row *profilestore.Row) []int32 {
	out := e.indices[:0]
	if row.Syscall >= 0 {
		out = append(out, e.t.intAttribute(profile.AttrSyscallNumber, row.Syscall))
		if name := syscallName(k, row.Syscall); name != "" {
			out = append(out, e.t.textAttribute(profile.AttrSyscallName, name))
		}
	}
	if row.Bucket > 0 {
		out = append(out, e.t.intAttribute(profile.AttrLatencyBucket, int64(row.Bucket)))
	}
	if row.Failed {
		out = append(out, e.t.attribute(otlpAttribute{key: profile.AttrError, kind: trueValue}))
	}
	if row.LockAddress != 0 {
		out = append(out, e.t.lock(row.LockAddress))
	}
	e.indices = out
	return out
}

// syscallName returns the name that producers gave a system call.
func syscallName(k *profilestore.KindMerge, number int64) string {
	n, ok := slices.BinarySearchFunc(k.Syscalls, number, func(s profilestore.SyscallStats, number int64) int {
		return cmp.Compare(s.Number, number)
	})
	if !ok {
		return ""
	}
	return k.Syscalls[n].Name
}

// appendMinRestMax appends values in the layout [profile.ValuesMinRestMax].
func appendMinRestMax(to []int64, r *profilestore.Row) []int64 {
	switch sum := r.Values[0]; {
	case r.Count == 1 && r.Min == sum && r.Max == sum:
		return append(to, sum)
	case r.Count == 2 && r.Min+r.Max == sum:
		return append(to, r.Min, r.Max)
	default:
		return append(to, r.Min, sum-r.Min-r.Max, r.Max)
	}
}
