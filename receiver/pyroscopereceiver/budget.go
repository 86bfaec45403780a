package pyroscopereceiver

import (
	"errors"
	"sync/atomic"
)

// errBusy says that too much data is worked on already.
var errBusy = errors.New("receiver is busy: requests in work reached max_inflight_size, try again later")

// budget is the bytes of all requests in work. It is safe for concurrent use.
type budget struct {
	held  atomic.Int64
	limit int64
}

// reservation is the part of a budget that one request holds. It is not safe for
// concurrent use.
type reservation struct {
	of   *budget
	held int64
}

func (b *budget) reserve() *reservation { return &reservation{of: b} }

// grow makes the reservation larger, or fails with errBusy.
func (r *reservation) grow(n int64) error {
	if r.of.held.Add(n) > r.of.limit {
		r.of.held.Add(-n)
		return errBusy
	}
	r.held += n
	return nil
}

// shrink gives a part of the reservation back.
func (r *reservation) shrink(n int64) {
	r.of.held.Add(-n)
	r.held -= n
}

func (r *reservation) release() { r.shrink(r.held) }
