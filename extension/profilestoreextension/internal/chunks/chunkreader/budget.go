package chunkreader

import "sync/atomic"

// budget bounds what all queries that run keep of rows. It is safe for concurrent
// use.
type budget struct {
	limit int64
	used  atomic.Int64
}

// held is what one query has taken of a budget; nil is one without bounds. It is
// safe for concurrent use.
type held struct {
	of *budget
	n  atomic.Int64
}

// take takes bytes, or returns errBuffer.
func (h *held) take(n int) error {
	if h == nil {
		return nil
	}
	if h.of.used.Add(int64(n)) > h.of.limit {
		h.of.used.Add(-int64(n))
		return errBuffer
	}
	h.n.Add(int64(n))
	return nil
}

// release gives everything back.
func (h *held) release() {
	h.of.used.Add(-h.n.Swap(0))
}
