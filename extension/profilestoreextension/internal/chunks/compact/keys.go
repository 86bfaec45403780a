package compact

import (
	"slices"

	"github.com/ClickHouse/ch-go/proto"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/chunkrow"
)

// keyTable numbers the keys of entries of several rows, by open addressing. Stacks
// are named by hashes, so that little is left to be hashed.
type keyTable struct {
	slots []uint32 // number + 1 of a key, 0 for none
	keys  []chunkrow.EntryKey
}

func (t *keyTable) reset(most int) {
	n := 1024
	for n < 2*most {
		n *= 2
	}
	if n > len(t.slots) || n < len(t.slots)/16 {
		t.slots = make([]uint32, n)
	} else {
		clear(t.slots)
	}
	t.keys = t.keys[:0]
}

func hash(k *chunkrow.EntryKey) uint64 {
	const m = 0x9e3779b97f4a7c15
	h := k.Stack.Lo ^ k.Stack.Hi*m
	if !k.Set.IsZero() {
		h = (h ^ k.Set.Lo) * m
	}
	h = (h^k.Lock)*m ^ uint64(k.Syscall)*m ^ uint64(k.Bucket)<<8 ^ uint64(k.Error)
	return h * m >> 20
}

// number returns that of a key, in the order they came. The table must not be more
// than half full.
func (t *keyTable) number(k *chunkrow.EntryKey) uint32 {
	mask := uint64(len(t.slots) - 1)
	for i := hash(k) & mask; ; i = (i + 1) & mask {
		switch n := t.slots[i]; {
		case n == 0:
			t.keys = append(t.keys, *k)
			t.slots[i] = uint32(len(t.keys))
			return uint32(len(t.keys) - 1)
		case t.keys[n-1] == *k:
			return n - 1
		}
	}
}

// mergeKeys returns the union of the keys of rows, in order, and the place of each
// key of each row in it.
func (t *keyTable) mergeKeys(rows []*chunkrow.Row, union *chunkrow.EntryKeys) (places [][]uint32) {
	most := 0
	for _, r := range rows {
		most += r.Keys.Len()
	}
	t.reset(most)
	places = make([][]uint32, len(rows))
	for i, r := range rows {
		places[i] = make([]uint32, r.Keys.Len())
		for j := range places[i] {
			k := r.Keys.At(j)
			places[i][j] = t.number(&k)
		}
	}
	order := make([]uint32, len(t.keys))
	for i := range order {
		order[i] = uint32(i)
	}
	slices.SortFunc(order, func(a, b uint32) int { return t.keys[a].Compare(&t.keys[b]) })
	ranks := make([]uint32, len(order))
	union.Reset()
	for rank, i := range order {
		ranks[i] = uint32(rank)
		union.Append(&t.keys[i])
	}
	for _, p := range places {
		for j, n := range p {
			p[j] = ranks[n]
		}
	}
	return places
}

// mergeSeries does the same with series.
func mergeSeries(rows []*chunkrow.Row) (union []proto.UInt128, places [][]uint32) {
	for _, r := range rows {
		union = append(union, r.SeriesIDs...)
	}
	slices.SortFunc(union, chunkrow.CompareIDs)
	union = slices.Compact(union)
	places = make([][]uint32, len(rows))
	for i, r := range rows {
		places[i] = make([]uint32, len(r.SeriesIDs))
		for j, id := range r.SeriesIDs {
			at, _ := slices.BinarySearchFunc(union, id, chunkrow.CompareIDs)
			places[i][j] = uint32(at)
		}
	}
	return union, places
}
