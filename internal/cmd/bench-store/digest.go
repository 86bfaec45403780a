package main

import (
	"encoding/binary"
	"fmt"

	"github.com/cespare/xxhash/v2"

	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// digest is the same for equal answers: of all rows, in their order.
func (a *answer) digest() uint64 {
	h := hasher{}
	for _, m := range a.merges {
		h.merge(m)
	}
	h.ints(a.total, int64(a.count))
	for _, s := range a.series {
		h.text("series", s.Kind)
		h.text(s.Labels...)
		for _, p := range s.Points {
			h.ints(p.Time, int64(p.Events), int64(p.Profiles))
			h.ints(p.Values[:]...)
		}
	}
	for i := range a.top {
		t := &a.top[i]
		h.text("top", t.Kind)
		h.ints(int64(t.Count))
		h.ints(t.Totals[:]...)
		for _, f := range t.Functions {
			h.text(f.Name)
			h.ints(f.Self[:]...)
			h.ints(f.Total[:]...)
		}
	}
	h.text(a.texts...)
	// The rest is short.
	h.text(fmt.Sprintf("%v %v %v", a.types, a.profiles, a.heatmap))
	return h.sum()
}

// hasher is XXH64 over what was put into it.
type hasher struct {
	d   xxhash.Digest
	b   []byte
	set bool
}

func (h *hasher) flush() {
	if !h.set {
		h.d.Reset()
		h.set = true
	}
	_, _ = h.d.Write(h.b) // never fails
	h.b = h.b[:0]
}

func (h *hasher) ints(vs ...int64) {
	for _, v := range vs {
		h.b = binary.LittleEndian.AppendUint64(h.b, uint64(v))
	}
	if len(h.b) > 1<<14 {
		h.flush()
	}
}

func (h *hasher) text(ts ...string) {
	for _, t := range ts {
		h.ints(int64(len(t)))
		h.b = append(h.b, t...)
	}
}

func (h *hasher) merge(m *profilestore.Merge) {
	for i := range m.Kinds {
		k := &m.Kinds[i]
		h.text("merge", k.Kind)
		h.ints(int64(k.Events), int64(k.TotalRows), int64(len(k.Rows)))
		h.ints(k.Totals[:]...)
		for j := range k.Rows {
			row := &k.Rows[j]
			id := m.Stacks[row.Stack].ID
			h.ints(int64(id.Hi), int64(id.Lo), int64(row.Count))
			h.ints(row.Values[:len(k.Types)]...)
		}
	}
}

func (h *hasher) sum() uint64 {
	h.flush()
	return h.d.Sum64()
}
