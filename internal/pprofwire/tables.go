package pprofwire

func valueType(b []byte, i int, name string, index int) (ValueType, error) {
	var f [3]uint64
	if at, next := scalars(b, i, f[:]); next < 0 {
		return ValueType{}, wireError(name, index, at, next)
	}
	return ValueType{Type: stringIndex(f[1]), Unit: stringIndex(f[2])}, nil
}

func (d *decoder) mapping(b []byte, i int) error {
	n := len(d.Mappings)
	if n >= maxMappings {
		return tooMany("mapping", maxMappings)
	}
	var f [11]uint64
	if at, next := scalars(b, i, f[:]); next < 0 {
		return wireError("mapping", n, at, next)
	}
	d.Mappings = append(d.Mappings, Mapping{
		ID: f[1], Start: f[2], Limit: f[3], Offset: f[4], Filename: stringIndex(f[5]), BuildID: stringIndex(f[6]),
		HasFunctions: f[7] != 0, HasFilenames: f[8] != 0, HasLineNumbers: f[9] != 0, HasInlineFrames: f[10] != 0,
	})
	return nil
}

func (d *decoder) function(b []byte, i int) error {
	n := len(d.Functions)
	if n >= d.limits.MaxFunctions {
		return tooMany("function", d.limits.MaxFunctions)
	}
	var f [6]uint64
	if at, next := scalars(b, i, f[:]); next < 0 {
		return wireError("function", n, at, next)
	}
	d.Functions = append(d.Functions, Function{
		ID: f[1], Name: stringIndex(f[2]), SystemName: stringIndex(f[3]), Filename: stringIndex(f[4]), StartLine: int64(f[5]),
	})
	return nil
}

// Tags of Location.
const (
	locationID      = 1<<3 | wireVarint
	locationMapping = 2<<3 | wireVarint
	locationAddress = 3<<3 | wireVarint
	locationLine    = 4<<3 | wireBytes
	locationFolded  = 5<<3 | wireVarint
	locationFields  = 5
)

func (d *decoder) location(b []byte, i int) error {
	n := len(d.Locations)
	if n >= d.limits.MaxLocations {
		return tooMany("location", d.limits.MaxLocations)
	}
	l := Location{firstLine: uint32(len(d.lines))}
	for i < len(b) {
		at, tag, v := i, uint64(b[i]), uint64(0)
		if i++; tag >= 0x80 {
			if tag, i = longVarint(b, at); i < 0 {
				return wireError("location", n, at, i)
			}
		}
		switch tag {
		case locationID:
			l.ID, i = varint(b, i)
		case locationMapping:
			v, i = varint(b, i)
			l.Mapping = int(v)
		case locationAddress:
			l.Address, i = varint(b, i)
		case locationFolded:
			v, i = varint(b, i)
			l.IsFolded = v != 0
		case locationLine:
			var start int
			if start, i = span(b, i); i < 0 {
				break
			}
			// Before memory is taken: an empty line is two bytes, and 24 in memory.
			if len(d.lines)-int(l.firstLine) >= d.limits.MaxFrames {
				return tooLarge("location[%d] has more than %d lines", n, d.limits.MaxFrames)
			}
			if len(d.lines) >= d.limits.MaxLines {
				return tooLarge("the locations have more than %d lines", d.limits.MaxLines)
			}
			var f [4]uint64
			if lineAt, next := scalars(b[:i], start, f[:]); next < 0 {
				return wireError("location", n, lineAt, next)
			}
			d.lines = append(d.lines, Line{Function: int(f[1]), Line: int64(f[2]), Column: int64(f[3])})
		default:
			i = skipOther(b, i, tag, locationFields)
		}
		if i < 0 {
			return wireError("location", n, at, i)
		}
	}
	lines := len(d.lines) - int(l.firstLine)
	l.numLines, d.maxLines = uint32(lines), max(d.maxLines, lines)
	d.Locations = append(d.Locations, l)
	return nil
}

// resolve checks what the tables refer to and turns ids into indices.
func (d *decoder) resolve() error {
	switch {
	case len(d.strings) == 0:
		return invalid("string_table is empty; its first entry must be there")
	case d.strings[0].start != d.strings[0].end:
		return invalid("string_table[0] has %d bytes; it must be empty", d.strings[0].end-d.strings[0].start)
	case len(d.samples) > 0 && len(d.SampleTypes) == 0:
		return invalid("there are %d samples, but no sample_type", len(d.samples))
	}
	for _, step := range []func() error{d.resolveHead, d.resolveMappings, d.resolveFunctions, d.resolveLocations} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

func (d *decoder) resolveHead() error {
	for i, t := range d.SampleTypes {
		if err := d.checkString(t.Type, "sample_type", i, "type"); err != nil {
			return err
		}
		if err := d.checkString(t.Unit, "sample_type", i, "unit"); err != nil {
			return err
		}
	}
	for i, c := range d.Comments {
		if err := d.checkString(c, "comment", i, "index"); err != nil {
			return err
		}
	}
	for _, f := range []struct {
		index uint32
		name  string
	}{
		{d.PeriodType.Type, "period_type.type"},
		{d.PeriodType.Unit, "period_type.unit"},
		{d.DropFrames, "drop_frames"},
		{d.KeepFrames, "keep_frames"},
		{d.DefaultSampleType, "default_sample_type"},
		{d.DocURL, "doc_url"},
	} {
		if err := d.checkString(f.index, "", -1, f.name); err != nil {
			return err
		}
	}
	return nil
}

func (d *decoder) resolveMappings() error {
	for i := range d.Mappings {
		m := &d.Mappings[i]
		if err := d.checkString(m.Filename, "mapping", i, "filename"); err != nil {
			return err
		}
		if err := d.checkString(m.BuildID, "mapping", i, "build_id"); err != nil {
			return err
		}
	}
	return fill(&d.mappingIDs, "mapping", d.Mappings, false, func(m *Mapping) uint64 { return m.ID })
}

func (d *decoder) resolveFunctions() error {
	n := uint32(len(d.strings))
	for i := range d.Functions {
		f := &d.Functions[i]
		if f.Name < n && f.SystemName < n && f.Filename < n {
			continue
		}
		if err := d.checkString(f.Name, "function", i, "name"); err != nil {
			return err
		}
		if err := d.checkString(f.SystemName, "function", i, "system_name"); err != nil {
			return err
		}
		return d.checkString(f.Filename, "function", i, "filename")
	}
	return fill(&d.functionIDs, "function", d.Functions, d.limits.FunctionZero, func(f *Function) uint64 { return f.ID })
}

func (d *decoder) resolveLocations() error {
	for i := range d.Locations {
		l := &d.Locations[i]
		l.Mapping = d.mappingIDs.index(uint64(l.Mapping))
		lines := d.lines[l.firstLine : l.firstLine+l.numLines]
		for j := range lines {
			id := uint64(lines[j].Function)
			f := d.functionIDs.index(id)
			if f < 0 {
				return invalid("location[%d].line[%d].function_id is %d; there is no such function", i, j, id)
			}
			lines[j].Function = f
		}
	}
	return fill(&d.locationIDs, "location", d.Locations, false, func(l *Location) uint64 { return l.ID })
}
