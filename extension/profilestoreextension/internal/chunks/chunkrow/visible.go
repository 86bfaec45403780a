package chunkrow

import "cmp"

// Visible reports which of the rows count, in the order of headers. They must be
// all rows of their keys, as one SELECT found them, with Covers, in any order.
//
// Of rows with the same key and id only the one with the lowest (Written, Nonce)
// is there: two compactors may have made a row of one number, and a window that is
// written again after its token was forgotten makes rows of the same ids. A row
// that is there does not count if another one covers it; what it covers itself
// stays covered.
func Visible(headers []Header) []bool {
	type rowID struct {
		key int32
		id  uint64
	}
	keys := keyNumbers(headers)
	firsts := make(map[rowID]int32, len(headers))
	for i := range headers {
		at := rowID{keys[i], headers[i].ID}
		if j, ok := firsts[at]; !ok || headers[i].before(&headers[j]) {
			firsts[at] = int32(i)
		}
	}
	covered := make(map[rowID]struct{})
	for at, i := range firsts {
		for _, id := range headers[i].Covers {
			covered[rowID{at.key, id}] = struct{}{}
		}
	}
	out := make([]bool, len(headers))
	for at, i := range firsts {
		_, ok := covered[at]
		out[i] = !ok
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

// keyNumbers numbers the keys of headers.
func keyNumbers(headers []Header) []int32 {
	out := make([]int32, len(headers))
	numbers := make(map[Key]int32)
	for i := range headers {
		if i > 0 && headers[i].Key == headers[i-1].Key { // the usual order
			out[i] = out[i-1]
			continue
		}
		n, ok := numbers[headers[i].Key]
		if !ok {
			n = int32(len(numbers))
			numbers[headers[i].Key] = n
		}
		out[i] = n
	}
	return out
}
