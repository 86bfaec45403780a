package pprofwire

// idTable finds the index of an entry by its id. Most programs number entries
// from 1 in the order in which they write them; then it needs no memory.
type idTable struct {
	sequential uint64   // ids 1 to this are those of entries 0 and so on
	dense      []uint32 // index+1 by id
	sparse     map[uint64]uint32
}

// empty returns t without content, with its memory.
func (t *idTable) empty() idTable { return idTable{dense: t.dense[:0]} }

// index returns the index of the entry with that id, -1 if there is none.
func (t *idTable) index(id uint64) int {
	if id-1 < t.sequential {
		return int(id - 1)
	}
	return t.other(id)
}

func (t *idTable) other(id uint64) int {
	if id < uint64(len(t.dense)) {
		return int(t.dense[id]) - 1
	}
	if i, ok := t.sparse[id]; ok {
		return int(i)
	}
	return -1
}

// fill puts the entries of an empty table into t. zero allows an id of 0.
func fill[E any](t *idTable, name string, entries []E, zero bool, id func(*E) uint64) error {
	n := uint64(len(entries))
	sequential, most := true, uint64(0)
	for i := range entries {
		v := id(&entries[i])
		if v == 0 && !zero {
			return invalid("%s[%d].id is 0, which is reserved", name, i)
		}
		sequential = sequential && v == uint64(i)+1
		most = max(most, v)
	}
	if sequential {
		t.sequential = n
		return nil
	}
	if most <= 4*n+64 {
		t.dense = grown(t.dense, int(most)+1)[:most+1]
		clear(t.dense)
	} else {
		t.sparse = make(map[uint64]uint32, n)
	}
	for i := range entries {
		v := id(&entries[i])
		if first := t.other(v); first >= 0 {
			return invalid("%s[%d].id is %d, as that of %s[%d]", name, i, v, name, first)
		}
		if t.sparse != nil {
			t.sparse[v] = uint32(i)
		} else {
			t.dense[v] = uint32(i) + 1
		}
	}
	return nil
}

// grown returns s with room for n more.
func grown[E any](s []E, n int) []E {
	if cap(s)-len(s) >= n {
		return s
	}
	return append(make([]E, 0, max(2*cap(s), len(s)+n)), s...)
}
