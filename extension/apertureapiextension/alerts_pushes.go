package apertureapiextension

import (
	"sync"
	"time"
)

const (
	// minPushSpan is the least time over which pushes are held against each other:
	// of fewer of them one that fails would be too much.
	minPushSpan = time.Minute
	// pushLooks is about how many looks there are in a span.
	pushLooks = 16
)

// recentPushes is how many pushes there were lately. It is safe for concurrent use.
type recentPushes struct {
	mu sync.Mutex
	// looks are the oldest first: one from before the span, then those in it.
	looks []pushLook
}

// pushLook is what the counters were.
type pushLook struct {
	at         time.Time
	ok, failed float64
}

// observe takes the counters of pushes and returns by how much they have grown in
// the last span; since they began, if that is shorter ago.
func (r *recentPushes) observe(at time.Time, ok, failed float64, span time.Duration) (recentOK, recentFailed float64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	look := pushLook{at, ok, failed}
	var last pushLook
	if n := len(r.looks); n > 0 {
		last = r.looks[n-1]
	}
	if len(r.looks) == 0 || at.After(last.at) && (ok < last.ok || failed < last.failed) {
		// The counters begin, or began anew, from 0.
		r.looks = []pushLook{{}}
	}
	switch n := len(r.looks); {
	case !at.After(last.at):
		// Seen before.
		look = last
	case n > 1 && at.Sub(r.looks[n-2].at) < span/pushLooks:
		r.looks[n-1] = look
	default:
		r.looks = append(r.looks, look)
	}
	for len(r.looks) > 1 && !r.looks[1].at.After(look.at.Add(-span)) {
		r.looks = r.looks[1:]
	}
	return look.ok - r.looks[0].ok, look.failed - r.looks[0].failed
}
