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
	t := dic.LocationTable()
	d.Frames = slices.Grow(d.Frames, t.Len())
	d.FrameIDs = slices.Grow(d.FrameIDs, t.Len())
	d.locations = slices.Grow(d.locations, t.Len())
	var origin struct { // of the frame before
		mappingInfo
		frameType string
		text      []byte
	}
	for i := range t.Len() {
		e := t.At(i)
		var m mappingInfo
		if n := e.MappingIndex(); n != 0 || len(mappings) > 0 {
			if n < 0 || int(n) >= len(mappings) {
				return invalid("location_table[%d].mapping_index is %d; mapping_table has %d entries", i, n, len(mappings))
			}
			m = mappings[n]
		}
		frameType := ""
		for a, attrs := 0, e.AttributeIndices(); a < attrs.Len(); a++ {
			at, err := d.attr(attrs.At(a), "location_table")
			if err != nil {
				return err
			}
			if at.key == AttrFrameType {
				frameType = at.value.AsString()
			}
		}
		lines := e.Lines()
		n := lines.Len()
		if n > d.limits.MaxFrames {
			return invalid("location_table[%d] has %d lines; the limit is %d", i, n, d.limits.MaxFrames)
		}
		first := int32(len(d.Frames))
		for l := range max(n, 1) {
			f := d.newFrame()
			f.Address, f.Mapping, f.BuildID, f.Type = e.Address(), m.file, m.buildID, frameType
			if l < n {
				line := lines.At(l)
				fn := line.FunctionIndex()
				if fn != 0 || len(d.functions) > 0 {
					if fn < 0 || int(fn) >= len(d.functions) {
						return invalid("location_table[%d].lines[%d].function_index is %d; function_table has %d entries", i, l, fn, len(d.functions))
					}
					f.Function, f.FunctionID = d.functions[fn], d.functionIDs[fn]
				}
				f.Line, f.Inlined = line.Line(), l+1 < n
			}
			if m != origin.mappingInfo || frameType != origin.frameType || origin.text == nil {
				origin.mappingInfo, origin.frameType = m, frameType
				origin.text = appendOrigin(origin.text[:0], f)
			}
			var id ID
			id, d.scratch = f.id(d.scratch[:0], origin.text)
			d.FrameIDs = append(d.FrameIDs, id)
		}
		d.locations = append(d.locations, location{first, int32(len(d.Frames)) - first})
	}
	return nil
}

// newFrame appends a frame to Frames and returns it. It is filled in place: a Frame
// is large, and there are as many as samples in short profiles.
func (d *Dictionary) newFrame() *Frame {
	n := len(d.Frames)
	if n == cap(d.Frames) {
		d.Frames = append(d.Frames, Frame{})
	} else {
		d.Frames = d.Frames[:n+1] // what is beyond the length is zero, see emptied
	}
	return &d.Frames[n]
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
		key := append(d.scratch[:0], stackKey)
		for n := range locs.Len() {
			l := locs.At(n)
			if l < 0 || int(l) >= len(d.locations) {
				return invalid("stack_table[%d].location_indices has %d; location_table has %d entries", i, l, len(d.locations))
			}
			at := d.locations[l]
			end := len(key)
			key = slices.Grow(key, 16*int(at.n))[:end+16*int(at.n)]
			for i, id := range d.FrameIDs[at.first : at.first+at.n] {
				frames = append(frames, at.first+int32(i))
				putID(key[end+16*i:], id)
			}
			if len(frames)-first > d.limits.MaxFrames {
				return invalid("stack_table[%d] has more than %d frames", i, d.limits.MaxFrames)
			}
		}
		if total += len(frames) - first; total > d.limits.MaxTotalFrames {
			return invalid("stack_table has more than %d frames in all", d.limits.MaxTotalFrames)
		}
		d.Stacks[i], d.StackIDs[i] = frames[first:len(frames):len(frames)], HashBytes(key)
		d.scratch = key
	}
	return nil
}
