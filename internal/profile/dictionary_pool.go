package profile

import "sync"

// dictionaries holds those that [Groups.Release] gave back. Their slices and maps
// are empty, and have room.
var dictionaries = sync.Pool{New: func() any { return &Dictionary{sets: make(map[string]int32)} }}

// Dictionaries with more of these than that are not kept: they would hold on to the
// memory of the largest profiles that ever came.
const (
	maxKeptFrames = 1 << 15
	maxKeptOthers = 1 << 16
)

// Release gives the memory of g's Dictionary to later calls of [Split]. Neither g
// nor what it refers to may be used any more; strings that were copied out of it
// stay valid. Calling it is not necessary.
func (g *Groups) Release() {
	d := g.Dict
	if d == nil {
		return
	}
	*g = Groups{}
	if cap(d.Frames) > maxKeptFrames || cap(d.Stacks) > maxKeptOthers || cap(d.strings) > maxKeptOthers ||
		cap(d.attrs) > maxKeptOthers || cap(d.Attributes) > maxKeptOthers || len(d.chunks) > maxKeptOthers/chunk*4 {
		return
	}
	clear(d.sets)
	*d = Dictionary{
		Frames: emptied(d.Frames), FrameIDs: d.FrameIDs[:0],
		Stacks: emptied(d.Stacks), StackIDs: d.StackIDs[:0],
		Attributes: emptied(d.Attributes),
		strings:    emptied(d.strings), attrs: emptied(d.attrs), locations: d.locations[:0],
		functions: emptied(d.functions), functionIDs: d.functionIDs[:0],
		sets: d.sets, scratch: d.scratch, chunks: d.chunks, entries: d.entries[:0],
	}
	dictionaries.Put(d)
}

// emptied returns s without elements and without references to what was in it.
func emptied[T any](s []T) []T {
	clear(s)
	return s[:0]
}

// sized returns n zero elements, in the memory of s if they fit.
func sized[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	s = s[:n]
	clear(s)
	return s
}

// newChunk returns room for the frames of stacks, at least n.
func (d *Dictionary) newChunk(n int) []int32 {
	if d.chunksUsed < len(d.chunks) && cap(d.chunks[d.chunksUsed]) >= n {
		d.chunksUsed++
		return d.chunks[d.chunksUsed-1]
	}
	c := make([]int32, 0, max(chunk, n))
	d.chunks = append(d.chunks[:d.chunksUsed], c)
	d.chunksUsed++
	return c
}

// maxKeptEntries is how many entries of groups are kept for later ones.
const maxKeptEntries = 1 << 14

// newEntries returns room for the entries of a group, at least n.
func (d *Dictionary) newEntries(n int) []Entry {
	if n > maxKeptEntries/4 {
		return make([]Entry, 0, n)
	}
	first := len(d.entries)
	if n > cap(d.entries)-first {
		d.entries = make([]Entry, 0, min(max(2*cap(d.entries), 4*n), maxKeptEntries))
		first = 0
	}
	d.entries = d.entries[:first+n]
	return d.entries[first : first : first+n]
}
