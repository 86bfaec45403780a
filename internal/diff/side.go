package diff

import (
	"math"

	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// side is one of the two profiles.
type side struct {
	entries []entry
	// index has where in entries a key is.
	index  map[key]int32
	totals Totals
	// cut is true if the merge left out rows, which are those whose first value
	// is at most kept.
	cut  bool
	kept int64
}

// key is what makes rows of both sides the same row.
type key struct {
	// symbols is the hash of the stack, see [symbols].
	symbols uint64
	// number is the address of a lock or the number of a system call.
	number uint64
}

// entry is one row of a side: the sum of all stacks with its key.
type entry struct {
	key    key
	values Values
	// stack and frames are those of the largest.
	stack  profile.ID
	frames []*profile.Frame
	// named is true if other stacks can have the key.
	named bool
	name  string
}

// newSide gathers the rows of k, which is nil if there was nothing.
func newSide(w Window, k *profilestore.KindMerge, kind string, by *symbols) *side {
	s := &side{totals: Totals{Duration: w.duration(k)}}
	if k == nil {
		return s
	}
	t := &s.totals
	t.Count, t.Values = k.Events, k.Totals
	switch kind {
	case profile.KindSyscall:
		t.Measure = saturate(k.Events)
		s.syscalls(k)
		return s
	case profile.KindCPU, profile.KindLock, profile.KindOffCPU:
		// What came without a stack is no part of these profiles.
		t.Count -= k.StacklessEvents
		t.Values[0] = profile.Sub(t.Values[0], k.StacklessValue)
	}
	t.Measure = t.Values[0]
	if kind == profile.KindCPU {
		t.Count = countOf(t.Values[0])
	}
	s.stacks(w.Merge, k, by)
	return s
}

func (s *side) stacks(m *profilestore.Merge, k *profilestore.KindMerge, by *symbols) {
	if n := len(k.Rows); n > 0 && k.TotalRows > n {
		s.cut, s.kept = true, k.Rows[n-1].Values[0]
	}
	s.entries = make([]entry, 0, len(k.Rows))
	s.index = make(map[key]int32, len(k.Rows))
	for i := range k.Rows {
		row := &k.Rows[i]
		stack := &m.Stacks[row.Stack]
		if len(stack.Frames) == 0 {
			continue
		}
		hash, named := by.stack(stack.Frames)
		id := key{hash, row.LockAddress}
		if at, ok := s.index[id]; ok {
			s.entries[at].values.add(row)
			continue
		}
		s.index[id] = int32(len(s.entries))
		s.entries = append(s.entries, entry{
			key: id, values: Values{Count: row.Count, Values: row.Values},
			stack: stack.ID, frames: stack.Frames, named: named,
		})
	}
}

func (v *Values) add(row *profilestore.Row) {
	v.Count += row.Count
	for i := range v.Values {
		v.Values[i] = profile.Add(v.Values[i], row.Values[i])
	}
}

func (s *side) syscalls(k *profilestore.KindMerge) {
	s.index = make(map[key]int32, len(k.Syscalls))
	for i := range k.Syscalls {
		c := &k.Syscalls[i]
		id := key{number: uint64(c.Number)}
		s.index[id] = int32(i)
		s.entries = append(s.entries, entry{
			key:    id,
			values: Values{Count: c.Count, Values: [profile.MaxTypes]int64{c.Total}},
			name:   c.Name,
		})
	}
}

// kindsOf returns the observations of kind on both sides; each may be nil.
// Profiles of others can come under the same name with sample types of their
// own: those that the kind has are taken first, then types that both sides have,
// and never types that differ.
func kindsOf(kind string, baseline, comparison *profilestore.Merge) (b, c *profilestore.KindMerge) {
	if own := profile.Types(kind); own != nil {
		b, c = find(baseline, kind, own[:1]), find(comparison, kind, own[:1])
		if b != nil || c != nil {
			return b, c
		}
	}
	for i := range baseline.Kinds {
		k := &baseline.Kinds[i]
		if k.Kind != kind {
			continue
		}
		if c = find(comparison, kind, k.Types); c != nil {
			return k, c
		}
		if b == nil {
			b = k
		}
	}
	if b == nil {
		c = find(comparison, kind, nil)
	}
	return b, c
}

// find returns the first of the kind whose types start with these.
func find(m *profilestore.Merge, kind string, types []profile.ValueType) *profilestore.KindMerge {
next:
	for i := range m.Kinds {
		k := &m.Kinds[i]
		if k.Kind != kind || len(k.Types) < len(types) {
			continue
		}
		for j := range types {
			if k.Types[j] != types[j] {
				continue next
			}
		}
		return k
	}
	return nil
}

// countOf returns a sum of samples as a count; producers can send negative ones,
// which count nothing.
func countOf(v int64) uint64 { return uint64(max(v, 0)) }

func saturate(v uint64) int64 { return int64(min(v, math.MaxInt64)) }
