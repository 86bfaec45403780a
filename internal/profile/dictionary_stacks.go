package profile

import (
	"slices"

	"go.opentelemetry.io/collector/pdata/pprofile"
)

type mappingInfo struct{ file, buildID string }

// location is the range of Frames that a location of the dictionary became.
type location struct{ first, n int32 }

func (d *Dictionary) readLocations(dic pprofile.ProfilesDictionary) error {
	mappings, err := d.mappings(dic)
	if err != nil {
		return err
	}
	if err := d.readFunctions(dic); err != nil {
		return err
	}
	functions, ids := d.functions, d.functionIDs
	t := dic.LocationTable()
	d.Frames = slices.Grow(d.Frames, t.Len())
	d.FrameIDs = slices.Grow(d.FrameIDs, t.Len())
	d.locations = slices.Grow(d.locations, t.Len())
	for i := range t.Len() {
		e := t.At(i)
		f := Frame{Address: e.Address()}
		if m := e.MappingIndex(); m != 0 || len(mappings) > 0 {
			if m < 0 || int(m) >= len(mappings) {
				return invalid("location_table[%d].mapping_index is %d; mapping_table has %d entries", i, m, len(mappings))
			}
			f.Mapping, f.BuildID = mappings[m].file, mappings[m].buildID
		}
		for a, attrs := 0, e.AttributeIndices(); a < attrs.Len(); a++ {
			at, err := d.attr(attrs.At(a), "location_table")
			if err != nil {
				return err
			}
			if at.key == AttrFrameType {
				f.Type = at.value.AsString()
			}
		}
		lines := e.Lines()
		if n := lines.Len(); n > d.limits.MaxFrames {
			return invalid("location_table[%d] has %d lines; the limit is %d", i, n, d.limits.MaxFrames)
		}
		for l := range lines.Len() {
			line := lines.At(l)
			fn := line.FunctionIndex()
			if fn != 0 || len(functions) > 0 {
				if fn < 0 || int(fn) >= len(functions) {
					return invalid("location_table[%d].lines[%d].function_index is %d; function_table has %d entries", i, l, fn, len(functions))
				}
				f.Function, f.FunctionID = functions[fn], ids[fn]
			}
			f.Line = line.Line()
			f.Inlined = l+1 < lines.Len()
			d.addFrame(&f)
		}
		if lines.Len() == 0 {
			d.addFrame(&f)
		}
		d.locations = append(d.locations, location{int32(len(d.Frames)) - int32(max(lines.Len(), 1)), int32(max(lines.Len(), 1))})
	}
	return nil
}

func (d *Dictionary) addFrame(f *Frame) {
	d.Frames = append(d.Frames, *f)
	var id ID
	id, d.scratch = f.ID(d.scratch)
	d.FrameIDs = append(d.FrameIDs, id)
}

func (d *Dictionary) mappings(dic pprofile.ProfilesDictionary) ([]mappingInfo, error) {
	t := dic.MappingTable()
	out := make([]mappingInfo, t.Len())
	for i := range out {
		e := t.At(i)
		file, err := d.str(e.FilenameStrindex(), "mapping_table", i, "filename_strindex")
		if err != nil {
			return nil, err
		}
		out[i].file = file
		rank := 0
		for _, a := range e.AttributeIndices().All() {
			at, err := d.attr(a, "mapping_table")
			if err != nil {
				return nil, err
			}
			if r := buildIDRank(at.key); r > rank {
				rank, out[i].buildID = r, at.value.AsString()
			}
		}
	}
	return out, nil
}

// buildIDRank orders the build ids that a mapping may carry: the GNU one is what
// other tools look symbols up by.
func buildIDRank(key string) int {
	switch key {
	case AttrBuildIDGNU:
		return 3
	case AttrBuildIDGo:
		return 2
	case AttrBuildIDHTLHash:
		return 1
	}
	return 0
}

func (d *Dictionary) readFunctions(dic pprofile.ProfilesDictionary) error {
	t := dic.FunctionTable()
	d.functions, d.functionIDs = sized(d.functions, t.Len()), sized(d.functionIDs, t.Len())
	for i := range d.functions {
		e := t.At(i)
		name, err := d.str(e.NameStrindex(), "function_table", i, "name_strindex")
		if err != nil {
			return err
		}
		system, err := d.str(e.SystemNameStrindex(), "function_table", i, "system_name_strindex")
		if err != nil {
			return err
		}
		file, err := d.str(e.FilenameStrindex(), "function_table", i, "filename_strindex")
		if err != nil {
			return err
		}
		d.functions[i] = Function{Name: name, SystemName: system, Filename: file, StartLine: e.StartLine()}
		d.functionIDs[i], d.scratch = d.functions[i].ID(d.scratch)
	}
	return nil
}

// chunk is the number of frame indices allocated at a time.
const chunk = 2048

func (d *Dictionary) readStacks(dic pprofile.ProfilesDictionary) error {
	t := dic.StackTable()
	d.Stacks = sized(d.Stacks, max(t.Len(), 1))
	d.StackIDs = sized(d.StackIDs, len(d.Stacks))
	var ids []ID
	var frames []int32 // of all stacks, in chunks
	total := 0
	for i := range t.Len() {
		locs := t.At(i).LocationIndices()
		if locs.Len() == 0 {
			continue
		}
		if cap(frames)-len(frames) < locs.Len() {
			frames = d.newChunk(locs.Len())
		}
		first := len(frames)
		ids = ids[:0]
		for n := range locs.Len() {
			l := locs.At(n)
			if l < 0 || int(l) >= len(d.locations) {
				return invalid("stack_table[%d].location_indices has %d; location_table has %d entries", i, l, len(d.locations))
			}
			for f := d.locations[l].first; f < d.locations[l].first+d.locations[l].n; f++ {
				frames = append(frames, f)
				ids = append(ids, d.FrameIDs[f])
			}
			if len(frames)-first > d.limits.MaxFrames {
				return invalid("stack_table[%d] has more than %d frames", i, d.limits.MaxFrames)
			}
		}
		if total += len(frames) - first; total > d.limits.MaxTotalFrames {
			return invalid("stack_table has more than %d frames in all", d.limits.MaxTotalFrames)
		}
		d.Stacks[i] = frames[first:len(frames):len(frames)]
		d.StackIDs[i], d.scratch = StackID(ids, d.scratch)
	}
	return nil
}
