package chunk

import (
	"bytes"
	"cmp"
	"slices"
)

// Exemplar is a single observation that was kept. What is zero costs nothing.
type Exemplar struct {
	// Time is that of the observation in nanoseconds since 1970.
	Time int64
	// Value is that of the first type.
	Value     int64
	SpanID    [8]byte
	TraceID   [16]byte
	ProfileID [16]byte
}

// Place says where an exemplar belongs.
type Place struct{ Entry, Profile uint32 }

// Which fields follow the time of an exemplar.
const (
	hasValue = 1 << iota
	hasSpan
	hasTrace
	hasProfile
	hasAll = 1<<iota - 1
)

type placedExemplar struct {
	Place
	Exemplar
}

func compareExemplars(a, b placedExemplar) int {
	if c := cmp.Or(cmp.Compare(a.Entry, b.Entry), cmp.Compare(a.Profile, b.Profile), cmp.Compare(a.Time, b.Time), cmp.Compare(a.Value, b.Value)); c != 0 {
		return c
	}
	return cmp.Or(bytes.Compare(a.SpanID[:], b.SpanID[:]), bytes.Compare(a.TraceID[:], b.TraceID[:]), bytes.Compare(a.ProfileID[:], b.ProfileID[:]))
}

// appendExemplars sorts and writes xs: their number (nothing for none), and for
// each the distance of its entry to the one
// before, the profile (in the same entry its distance), the fields that it has,
// the time (its distance to that of the profile, or of the exemplar before in the
// same place), and the fields.
func appendExemplars(out []byte, xs []placedExemplar, times []int64) []byte {
	if len(xs) == 0 {
		return out
	}
	slices.SortFunc(xs, compareExemplars)
	out = appendVarint(out, uint64(len(xs)))
	var last placedExemplar
	for i, x := range xs {
		same := i > 0 && x.Place == last.Place
		out = appendVarint(out, uint64(x.Entry-last.Entry))
		if x.Entry != last.Entry {
			last.Profile = 0
		}
		out = appendVarint(out, uint64(x.Profile-last.Profile))
		out = append(out, x.fields())
		if same {
			out = appendVarint(out, uint64(x.Time)-uint64(last.Time))
		} else {
			out = appendZigzag(out, x.Time-times[x.Profile])
		}
		if x.Value != 0 {
			out = appendZigzag(out, x.Value)
		}
		out = appendID(out, x.SpanID[:])
		out = appendID(out, x.TraceID[:])
		out = appendID(out, x.ProfileID[:])
		last = x
	}
	return out
}

func (x *Exemplar) fields() byte {
	var f byte
	for i, has := range []bool{x.Value != 0, x.SpanID != [8]byte{}, x.TraceID != [16]byte{}, x.ProfileID != [16]byte{}} {
		if has {
			f |= 1 << i
		}
	}
	return f
}

// appendID appends an id that is not zero.
func appendID(out, id []byte) []byte {
	for _, b := range id {
		if b != 0 {
			return append(out, id...)
		}
	}
	return out
}

// EachExemplar calls f with all exemplars in order of entry, profile and time,
// until it returns an error.
func (c *Chunk) EachExemplar(f func(Place, *Exemplar) error) error {
	r := varints{b: c.columns.Streams.Exemplars}
	if r.atEnd() {
		return nil
	}
	n, err := r.next()
	if err != nil {
		return corrupt("exemplars", 0, 0, "%w", err)
	}
	if n > MaxExemplars {
		return corrupt("exemplars", 0, 0, "%d exemplars; the limit is %d", n, MaxExemplars)
	}
	var last placedExemplar
	for i := range n {
		at := r.off
		if err := last.read(&r, c, i == 0); err != nil {
			return corrupt("exemplars", int(last.Entry), at, "%w", err)
		}
		if err := f(last.Place, &last.Exemplar); err != nil {
			return err
		}
	}
	if !r.atEnd() {
		return corrupt("exemplars", int(last.Entry), r.off, "%d bytes are left", len(r.b)-r.off)
	}
	return nil
}

// read reads the exemplar after x in its place.
func (x *placedExemplar) read(r *varints, c *Chunk, first bool) error {
	before := x.Place
	entry, err := r.next()
	if err != nil {
		return err
	}
	if n := c.Entries(); entry >= uint64(n) || uint64(before.Entry)+entry >= uint64(n) {
		return invalid("entry is %d behind the last; the chunk has %d", entry, n)
	}
	profile, err := r.next()
	if err != nil {
		return err
	}
	if entry != 0 {
		x.Profile = 0
	}
	if n := c.Profiles(); profile >= uint64(n) || uint64(x.Profile)+profile >= uint64(n) {
		return invalid("profile is %d behind the last; the chunk has %d", profile, n)
	}
	x.Entry += uint32(entry)
	x.Profile += uint32(profile)
	fields, err := r.byte()
	if err != nil {
		return err
	}
	if fields > hasAll {
		return invalid("fields are %#x; the largest is %#x", fields, hasAll)
	}
	time, err := r.next()
	if err != nil {
		return err
	}
	if !first && x.Place == before {
		x.Time = int64(uint64(x.Time) + time)
	} else {
		x.Time = c.columns.Profiles.Times[x.Profile] + unzigzag(time)
	}
	x.Exemplar = Exemplar{Time: x.Time}
	if fields&hasValue != 0 {
		v, err := r.next()
		if err != nil {
			return err
		}
		x.Value = unzigzag(v)
	}
	for _, id := range []struct {
		field byte
		bytes []byte
	}{{hasSpan, x.SpanID[:]}, {hasTrace, x.TraceID[:]}, {hasProfile, x.ProfileID[:]}} {
		if fields&id.field == 0 {
			continue
		}
		if len(r.b)-r.off < len(id.bytes) {
			return errVarint
		}
		r.off += copy(id.bytes, r.b[r.off:])
	}
	return nil
}
