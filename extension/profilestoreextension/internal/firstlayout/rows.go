package firstlayout

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/ClickHouse/ch-go/proto"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/chunkrow"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/layout"
	"github.com/aperture-collector/aperture-collector/internal/chunk"
	"github.com/aperture-collector/aperture-collector/internal/profile"
)

// rows makes rows of chunks out of profiles that come in order of their keys.
type rows struct {
	types   int
	bytes   int
	ordinal uint32
	content hasher
	entries map[chunkrow.EntryKey]uint32
	keys    []chunkrow.EntryKey
	series  map[profile.ID]uint32
	ids     []profile.ID
	builder chunk.Builder
	scratch []chunk.Entry
	row     chunkrow.Row
}

func newRows() *rows {
	return &rows{entries: make(map[chunkrow.EntryKey]uint32), series: make(map[profile.ID]uint32)}
}

// reset forgets everything.
func (r *rows) reset() {
	r.row = chunkrow.Row{}
	r.ordinal = 0
	_ = r.begin(&chunkrow.Key{Types: "a/b"})
	r.types = 0
}

// begin begins a row.
func (r *rows) begin(key *chunkrow.Key) error {
	clear(r.entries)
	clear(r.series)
	r.keys, r.ids, r.bytes = r.keys[:0], r.ids[:0], 0
	r.content.reset()
	if r.row.Key != *key {
		r.ordinal = 0
	}
	r.row.Header = chunkrow.Header{Key: *key, Level: chunkrow.Written}
	r.types = len(layout.DecodeTypes(key.Types))
	return r.builder.Reset(r.types)
}

// add adds profile i, and calls emit with the row before if it does not fit in.
func (r *rows) add(in *columns, i int, hour int64, emit func(*chunkrow.Row) error) error {
	key := in.key(i, hour)
	if r.types == 0 || key != r.row.Key || r.bytes > maxRowBytes || r.builder.Profiles() >= maxProfiles {
		if err := r.finish(emit); err != nil {
			return err
		}
		if err := r.begin(&key); err != nil {
			return err
		}
	}
	v, err := in.views(i)
	if err != nil {
		return err
	}
	h := &r.row.Header
	if r.builder.Profiles() == 0 {
		h.First, h.Last = in.start[i], in.end[i]
	}
	h.First, h.Last, h.Stored = min(h.First, in.start[i]), max(h.Last, in.end[i]), max(h.Stored, in.stored[i])
	r.content.add(uint64(in.start[i]))
	r.content.add(uint64(in.end[i]))
	r.content.add(in.series[i].Low)
	r.scratch = r.scratch[:0]
	for j := range v.keys.Len() {
		e, k := v.entry(j, r.types), v.keys.At(j)
		e.Index = number(r.entries, &r.keys, k)
		h.Events += e.Count
		r.content.add(k.Stack.Lo)
		r.content.add(e.Count)
		r.content.add(uint64(e.Values[0]))
		r.scratch = append(r.scratch, e)
	}
	// An entry takes 128 bytes in the arrays at most, in each profile 8 for each value.
	r.bytes += 40 + (128+8*r.types)*len(r.scratch)
	series := number(r.series, &r.ids, layout.FromID(in.series[i]))
	if err := r.builder.Add(chunk.Profile{Series: series, Time: in.start[i], Duration: in.end[i] - in.start[i]}, r.scratch); err != nil {
		return fmt.Errorf("kind %q of service %q: %w", key.Kind, key.Service, err)
	}
	return nil
}

// number returns the number of a key, which is appended to list if it is new.
func number[K comparable](numbers map[K]uint32, list *[]K, key K) uint32 {
	n, ok := numbers[key]
	if !ok {
		n = uint32(len(*list))
		numbers[key] = n
		*list = append(*list, key)
	}
	return n
}

// finish calls emit with the row, if there is one. It is valid until emit returns.
func (r *rows) finish(emit func(*chunkrow.Row) error) error {
	if r.types == 0 || r.builder.Profiles() == 0 {
		return nil
	}
	entries := ranks(r.keys, func(a, b *chunkrow.EntryKey) int { return a.Compare(b) })
	series := ranks(r.ids, func(a, b *profile.ID) int { return a.Compare(*b) })
	c, err := r.builder.Build(entries, series)
	if err != nil {
		return err
	}
	row := &r.row
	row.Keys.Reset()
	for i := range r.keys {
		row.Keys.Append(&r.keys[i])
	}
	row.SeriesIDs = make([]proto.UInt128, len(r.ids))
	for i, id := range r.ids {
		row.SeriesIDs[i] = layout.ID(id)
	}
	row.ID, row.Nonce = chunkrow.WindowRowID(r.content.sum(), &row.Key, r.ordinal), chunkrow.NewNonce()
	row.Profiles, row.Entries = uint32(c.Profiles()), uint32(c.Entries())
	row.Columns = *c.Columns()
	r.ordinal++
	return emit(row)
}

// ranks sorts keys and returns the place of each number.
func ranks[K any](keys []K, compare func(a, b *K) int) []uint32 {
	order := make([]uint32, len(keys))
	for i := range order {
		order[i] = uint32(i)
	}
	slices.SortFunc(order, func(a, b uint32) int { return compare(&keys[a], &keys[b]) })
	sorted, out := make([]K, len(keys)), make([]uint32, len(keys))
	for rank, n := range order {
		sorted[rank], out[n] = keys[n], uint32(rank)
	}
	copy(keys, sorted)
	return out
}

// hasher hashes numbers in order.
type hasher struct{ buffer []byte }

func (h *hasher) reset() { h.buffer = h.buffer[:0] }

func (h *hasher) add(n uint64) {
	if len(h.buffer) >= 1<<16 {
		sum := h.sum()
		h.buffer = profile.AppendID(h.buffer[:0], sum)
	}
	h.buffer = binary.LittleEndian.AppendUint64(h.buffer, n)
}

func (h *hasher) sum() profile.ID { return profile.HashBytes(h.buffer) }
