package writer

// keyTable has a number for each of some keys, by open addressing: keys are spread
// evenly as they are, so that most lookups touch one cache line and hash nothing.
// The zero value is empty. It is not safe for concurrent use.
type keyTable struct {
	keys    []knownKey // 0: free; a power of two, at most 3/4 of them used
	numbers []uint32
	n       int
}

// minKeys is the size of the smallest table.
const minKeys = 1 << 8

// slot returns where the key is or belongs. The table must not be empty.
func (t *keyTable) slot(key knownKey) int {
	mask := uint64(len(t.keys) - 1)
	for i := uint64(key) & mask; ; i = (i + 1) & mask {
		if k := t.keys[i]; k == key || k == 0 {
			return int(i)
		}
	}
}

func (t *keyTable) get(key knownKey) (number uint32, ok bool) {
	if t.n == 0 {
		return 0, false
	}
	i := t.slot(key)
	if t.keys[i] == 0 {
		return 0, false
	}
	return t.numbers[i], true
}

// put sets the number of a key, which must not be 0.
func (t *keyTable) put(key knownKey, number uint32) {
	if 4*(t.n+1) > 3*len(t.keys) {
		t.grow()
	}
	i := t.slot(key)
	if t.keys[i] == 0 {
		t.keys[i] = key
		t.n++
	}
	t.numbers[i] = number
}

func (t *keyTable) grow() {
	old := *t
	n := max(2*len(old.keys), minKeys)
	t.keys, t.numbers = make([]knownKey, n), make([]uint32, n)
	for i, key := range old.keys {
		if key != 0 {
			j := t.slot(key)
			t.keys[j], t.numbers[j] = key, old.numbers[i]
		}
	}
}

// clear forgets all keys and keeps the memory, unless little of it was needed.
func (t *keyTable) clear() {
	if 16*t.n < len(t.keys) && len(t.keys) > minKeys {
		*t = keyTable{}
		return
	}
	if t.n > 0 {
		clear(t.keys)
	}
	t.n = 0
}
