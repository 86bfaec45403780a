package pprofwire

import "fmt"

// Parse decodes data, a profile.proto that may be gzipped. See [Profile] for how
// long data must stay unchanged. The error wraps [ErrInvalid] or [ErrTooLarge].
func Parse(data []byte, limits Limits) (*Profile, error) {
	p := new(Profile)
	if err := p.Parse(data, limits); err != nil {
		return nil, err
	}
	return p, nil
}

// Parse is [Parse] into p, whose memory it uses again; what was got from p before
// becomes invalid. After an error p is empty.
func (p *Profile) Parse(data []byte, limits Limits) error {
	p.reset()
	err := p.parse(data, limits.withDefaults())
	if err != nil {
		p.reset()
	}
	return err
}

func (p *Profile) parse(data []byte, limits Limits) error {
	switch {
	case len(data) == 0:
		return invalid("there is no data")
	case isGzip(data):
		var err error
		if p.inflated, err = inflate(p.inflated, data, limits.MaxBytes); err != nil {
			return err
		}
		data = p.inflated
	case len(data) > limits.MaxBytes:
		return tooLarge("the profile has %d bytes; the limit is %d", len(data), limits.MaxBytes)
	}
	p.data = data
	d := decoder{Profile: p, limits: limits}
	for _, pass := range []func() error{d.tables, d.resolve, d.decodeSamples} {
		if err := pass(); err != nil {
			return err
		}
	}
	return nil
}

// decoder is what is needed while a profile is decoded.
type decoder struct {
	*Profile
	limits Limits
	stamps int // time_nanos fields
}

// Fields of Profile.
const (
	fieldSampleType = 1
	fieldSample     = 2
	fieldMapping    = 3
	fieldLocation   = 4
	fieldFunction   = 5
	fieldString     = 6
	fieldDropFrames = 7
	fieldKeepFrames = 8
	fieldTime       = 9
	fieldDuration   = 10
	fieldPeriodType = 11
	fieldPeriod     = 12
	fieldComment    = 13
	fieldDefault    = 14
	fieldDocURL     = 15
)

// tables is the first pass.
func (d *decoder) tables() error {
	b := d.data
	for i := 0; i < len(b); {
		at, tag := i, uint64(b[i])
		if i++; tag >= 0x80 {
			if tag, i = longVarint(b, at); i < 0 {
				return wireError("profile", -1, at, i)
			}
		}
		var err error
		if tag&7 == wireBytes && tag>>3 <= fieldDocURL {
			start, end := span(b, i)
			if end < 0 {
				return wireError("profile", -1, at, end)
			}
			i, err = end, d.message(tag>>3, at, start, end)
		} else {
			i, err = d.number(tag, at, i)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// IsProfile reports whether the outermost fields of data, which is not gzipped, are
// those of a profile, and the last one complete. It looks at nothing within them.
func IsProfile(data []byte) bool {
	for i := 0; i < len(data); {
		tag, next := varint(data, i)
		if next < 0 || tag>>3 > fieldDocURL || tag&7 != wireBytes && tag&7 != wireVarint {
			return false
		}
		if i = skip(data, next, tag); i < 0 {
			return false
		}
	}
	return true
}

// message decodes a field of the profile that begins at byte at and whose bytes
// are those from start to end.
func (d *decoder) message(field uint64, at, start, end int) error {
	b := d.data[:end]
	switch field {
	case fieldString:
		if len(d.strings) >= d.limits.MaxStrings {
			return tooMany("string_table", d.limits.MaxStrings)
		}
		if end-start > d.limits.MaxStringLength {
			return tooLarge("string_table[%d] has %d bytes; the limit is %d", len(d.strings), end-start, d.limits.MaxStringLength)
		}
		d.strings = append(d.strings, extent{uint32(start), uint32(end)})
	case fieldSample:
		if len(d.samples) >= d.limits.MaxSamples {
			return tooMany("sample", d.limits.MaxSamples)
		}
		d.samples = append(d.samples, extent{uint32(start), uint32(end)})
	case fieldLocation:
		return d.location(b, start)
	case fieldFunction:
		return d.function(b, start)
	case fieldMapping:
		return d.mapping(b, start)
	case fieldSampleType:
		if len(d.SampleTypes) >= maxSampleTypes {
			return tooMany("sample_type", maxSampleTypes)
		}
		t, err := valueType(b, start, "sample_type", len(d.SampleTypes))
		d.SampleTypes = append(d.SampleTypes, t)
		return err
	case fieldPeriodType:
		var err error
		d.PeriodType, err = valueType(b, start, "period_type", -1)
		return err
	case fieldComment:
		for i := start; i < end; {
			at := i
			var v uint64
			if v, i = varint(b, i); i < 0 {
				return wireError("comment", -1, at, i)
			}
			if err := d.comment(v); err != nil {
				return err
			}
		}
	default:
		return wireError("profile", -1, at, badType)
	}
	return nil
}

// number decodes a field of the profile that is no message, or skips it.
func (d *decoder) number(tag uint64, at, i int) (next int, err error) {
	if tag&7 != wireVarint || tag>>3 < fieldDropFrames || tag>>3 > fieldDocURL || tag>>3 == fieldPeriodType {
		if next = skipOther(d.data, i, tag, fieldDocURL); next < 0 {
			return 0, wireError("profile", -1, at, next)
		}
		return next, nil
	}
	v, next := varint(d.data, i)
	if next < 0 {
		return 0, wireError("profile", -1, at, next)
	}
	switch tag >> 3 {
	case fieldTime:
		if d.stamps++; d.stamps > 1 && d.TimeNanos != 0 {
			return 0, invalid("time_nanos is there twice, at byte %d again: these are several profiles, one after another", at)
		}
		d.TimeNanos = int64(v)
	case fieldDuration:
		d.DurationNanos = int64(v)
	case fieldPeriod:
		d.Period = int64(v)
	case fieldComment:
		err = d.comment(v)
	case fieldDropFrames:
		d.DropFrames = stringIndex(v)
	case fieldKeepFrames:
		d.KeepFrames = stringIndex(v)
	case fieldDefault:
		d.DefaultSampleType = stringIndex(v)
	case fieldDocURL:
		d.DocURL = stringIndex(v)
	}
	return next, err
}

func (d *decoder) comment(v uint64) error {
	if len(d.Comments) >= maxComments {
		return tooMany("comment", maxComments)
	}
	d.Comments = append(d.Comments, stringIndex(v))
	return nil
}

// noString stands for all indices that no table can have.
const noString = 1<<32 - 1

func stringIndex(v uint64) uint32 { return uint32(min(v, noString)) }

// checkString checks an index into the string table; entry and field name it in
// the error.
func (p *Profile) checkString(i uint32, table string, entry int, field string) error {
	if int64(i) < int64(len(p.strings)) {
		return nil
	}
	value := fmt.Sprint(i)
	if i == noString {
		value = "too large"
	}
	if entry >= 0 {
		table = fmt.Sprintf("%s[%d].", table, entry)
	}
	return invalid("%s%s is %s; string_table has %d entries", table, field, value, len(p.strings))
}
