package chunkrow

import "cmp"

// Headed is what has a [Header]: a [Row], or what embeds one.
type Headed interface{ Head() *Header }

// Head returns h.
func (h *Header) Head() *Header { return h }

// Visible reports which of the rows count, in their order. They must be all rows of
// their keys, as one SELECT found them, with Covers, in any order.
//
// Of rows with the same key and id only the one with the lowest (Written, Nonce)
// is there: two compactors may have made a row of one number, and a window that is
// written again after its token was forgotten makes rows of the same ids. A row
// that is there does not count if another one covers it; what it covers itself
// stays covered.
func Visible[R Headed](rows []R) []bool {
	type rowID struct {
		key int32
		id  uint64
	}
	keys, counts := keyNumbers(rows)
	out := make([]bool, len(rows))
	// Most rows of closed hours are the only ones of their keys, and cover many that
	// have been deleted: these need no map.
	var firsts map[rowID]int32
	for i := range rows {
		if out[i] = true; counts[keys[i]] == 1 {
			continue
		}
		if firsts == nil {
			firsts = make(map[rowID]int32)
		}
		h := rows[i].Head()
		at := rowID{keys[i], h.ID}
		j, ok := firsts[at]
		switch {
		case !ok:
			firsts[at] = int32(i)
		case h.before(rows[j].Head()):
			firsts[at], out[j] = int32(i), false
		default:
			out[i] = false
		}
	}
	for at, i := range firsts {
		for _, id := range rows[i].Head().Covers {
			if j, ok := firsts[rowID{at.key, id}]; ok {
				out[j] = false
			}
		}
	}
	return out
}

func (h *Header) before(other *Header) bool { return Compare(h, other) < 0 }

// Compare orders rows of one id: the first is the one that counts.
func Compare(a, b *Header) int {
	return cmp.Or(
		cmp.Compare(a.Written, b.Written),
		cmp.Compare(a.Nonce.High, b.Nonce.High),
		cmp.Compare(a.Nonce.Low, b.Nonce.Low),
	)
}

// keyNumbers numbers the keys of rows, and counts the rows of each.
func keyNumbers[R Headed](rows []R) (out, counts []int32) {
	out = make([]int32, len(rows))
	numbers := make(map[Key]int32)
	for i := range rows {
		key := &rows[i].Head().Key
		if i > 0 && *key == rows[i-1].Head().Key { // the usual order
			out[i] = out[i-1]
			counts[out[i]]++
			continue
		}
		n, ok := numbers[*key]
		if !ok {
			n = int32(len(numbers))
			numbers[*key] = n
			counts = append(counts, 0)
		}
		out[i] = n
		counts[n]++
	}
	return out, counts
}
