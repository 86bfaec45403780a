package pprofwire

// Tags of Sample.
const (
	sampleLocation  = 1<<3 | wireVarint
	sampleLocations = 1<<3 | wireBytes
	sampleValue     = 2<<3 | wireVarint
	sampleValues    = 2<<3 | wireBytes
	sampleLabel     = 3<<3 | wireBytes
	sampleFields    = 3
)

// decodeSamples is the second pass.
func (d *decoder) decodeSamples() error {
	// Every value takes a byte at least, so hostile types cannot ask for more.
	d.values = grown(d.values, min(len(d.samples)*len(d.SampleTypes), len(d.data)))
	d.ends = grown(d.ends, len(d.samples))
	for n, s := range d.samples {
		refs, values := len(d.refs), len(d.values)
		if err := d.sample(d.data[:s.end], int(s.start), n); err != nil {
			return err
		}
		if got := len(d.values) - values; got != len(d.SampleTypes) {
			return invalid("sample[%d] at byte %d has %d values; there are %d sample types", n, s.start, got, len(d.SampleTypes))
		}
		if err := d.checkFrames(d.refs[refs:], n); err != nil {
			return err
		}
		d.ends = append(d.ends, sampleEnd{uint32(len(d.refs)), uint32(len(d.labels))})
	}
	return nil
}

// sample decodes a sample. It takes no more memory than the limits allow for one.
func (d *decoder) sample(b []byte, i, n int) error {
	begin := i
	refs, values, labels := len(d.refs)+d.limits.MaxFrames, len(d.values)+len(d.SampleTypes), len(d.labels)+d.limits.MaxLabels
	for i < len(b) {
		at, tag, v := i, uint64(b[i]), uint64(0)
		if i++; tag >= 0x80 {
			if tag, i = longVarint(b, at); i < 0 {
				return wireError("sample", n, at, i)
			}
		}
		switch tag {
		case sampleLocations:
			start, end := span(b, i)
			if i = end; end < 0 {
				break
			}
			if err := d.packedLocations(b[:end], start, n, refs-len(d.refs)); err != nil {
				return err
			}
		case sampleLocation:
			if v, i = varint(b, i); i < 0 {
				break
			}
			if len(d.refs) >= refs {
				return d.tooDeep(n)
			}
			l := d.locationIDs.index(v)
			if l < 0 {
				return d.noLocation(n, at, v)
			}
			d.refs = append(d.refs, uint32(l))
		case sampleValues:
			start, end := span(b, i)
			if i = end; end < 0 {
				break
			}
			for packed := b[:end]; start < end; {
				at := start
				if v, start = varint(packed, start); start < 0 {
					return wireError("sample", n, at, start)
				}
				if len(d.values) >= values {
					return d.tooManyValues(n, begin)
				}
				d.values = append(d.values, int64(v))
			}
		case sampleValue:
			if v, i = varint(b, i); i < 0 {
				break
			}
			if len(d.values) >= values {
				return d.tooManyValues(n, begin)
			}
			d.values = append(d.values, int64(v))
		case sampleLabel:
			start, end := span(b, i)
			if i = end; end < 0 {
				break
			}
			if err := d.label(b[:end], start, n); err != nil {
				return err
			}
			if len(d.labels) > labels {
				return tooLarge("sample[%d] has more than %d labels", n, d.limits.MaxLabels)
			}
		default:
			i = skipOther(b, i, tag, sampleFields)
		}
		if i < 0 {
			return wireError("sample", n, at, i)
		}
	}
	return nil
}

func (d *decoder) noLocation(sample, at int, id uint64) error {
	return invalid("sample[%d].location_id is %d at byte %d; there is no such location", sample, id, at)
}

func (d *decoder) tooManyValues(sample, at int) error {
	return invalid("sample[%d] at byte %d has more than %d values; there are %d sample types", sample, at, len(d.SampleTypes), len(d.SampleTypes))
}

func (d *decoder) tooDeep(sample int) error {
	return tooLarge("sample[%d] has more than %d frames", sample, d.limits.MaxFrames)
}

// packedLocations decodes all of b from i, at most room ids.
func (d *decoder) packedLocations(b []byte, i, n, room int) error {
	ids := len(b) - i // an id takes a byte at least
	if ids > room {
		// Each ends with a byte below 0x80.
		ids = 0
		for _, c := range b[i:] {
			if c < 0x80 {
				ids++
			}
		}
		if ids > room {
			return d.tooDeep(n)
		}
	}
	refs := grown(d.refs, ids)
	sequential := d.locationIDs.sequential
	for i < len(b) {
		at, id := i, uint64(b[i])
		switch i++; {
		case id < 0x80:
		case i < len(b) && b[i] < 0x80:
			id = id&0x7f | uint64(b[i])<<7
			i++
		default:
			if id, i = longVarint(b, at); i < 0 {
				return wireError("sample", n, at, i)
			}
		}
		l := id - 1
		if l >= sequential {
			other := d.locationIDs.other(id)
			if other < 0 {
				return d.noLocation(n, at, id)
			}
			l = uint64(other)
		}
		refs = append(refs, uint32(l))
	}
	d.refs = refs
	return nil
}

// checkFrames checks the depth of a stack.
func (d *decoder) checkFrames(refs []uint32, n int) error {
	limit := d.limits.MaxFrames
	if len(refs)*max(d.maxLines, 1) <= limit {
		return nil
	}
	frames := 0
	for _, l := range refs {
		frames += max(int(d.Locations[l].numLines), 1)
	}
	if frames > limit {
		return tooLarge("sample[%d] has %d frames; the limit is %d", n, frames, limit)
	}
	return nil
}

func (d *decoder) label(b []byte, i, n int) error {
	var f [5]uint64
	if at, next := scalars(b, i, f[:]); next < 0 {
		return wireError("sample", n, at, next)
	}
	l := Label{Key: stringIndex(f[1]), Str: stringIndex(f[2]), Num: int64(f[3]), Unit: stringIndex(f[4])}
	if l.Str == 0 && l.Num == 0 && l.Unit == 0 {
		// The same as no label, for every reader of the format.
		return d.checkString(l.Key, "sample", n, "label.key")
	}
	for _, f := range []struct {
		index uint32
		name  string
	}{{l.Key, "label.key"}, {l.Str, "label.str"}, {l.Unit, "label.num_unit"}} {
		if err := d.checkString(f.index, "sample", n, f.name); err != nil {
			return err
		}
	}
	d.labels = append(d.labels, l)
	return nil
}
