package chaos

import (
	"maps"
	"sync"
)

// key is what stored observations are told apart by, beside their stacks.
type key struct {
	service, kind string
	// lock is an address, 0 for kinds other than lock. Every request has one lock
	// of its own, which marks it.
	lock uint64
	// syscall is a number, noSyscall for kinds other than syscall.
	syscall int64
}

const noSyscall = -1

// sum is what is known of a key: the number of observations and the totals of the
// sample types.
type sum struct {
	count  uint64
	v0, v1 int64
}

func (s sum) plus(o sum) sum { return sum{s.count + o.count, s.v0 + o.v0, s.v1 + o.v1} }

// sums are exact totals by key.
type sums map[key]sum

func (s sums) add(k key, value sum) { s[k] = s[k].plus(value) }

func (s sums) addAll(o sums) {
	for k, v := range o {
		s.add(k, v)
	}
}

// outcome is what a sender knows of its request.
type outcome uint8

const (
	// unanswered requests may be stored once or not at all.
	unanswered outcome = iota
	// acknowledged ones must be stored once.
	acknowledged
	// refused ones were said not to be taken, and must not be stored.
	refused
)

// batchKey names a request as the table of batches does.
type batchKey struct {
	agent    string
	sequence uint64
}

// request is what was in one request.
type request struct {
	batchKey
	events  uint64
	sums    sums
	outcome outcome
}

// ledger holds all requests that were sent to one data directory. It is safe for
// concurrent use.
type ledger struct {
	mu       sync.Mutex
	requests map[batchKey]*request
	lock     uint64 // the last one given to a request
	faulty   []string
}

func newLedger() *ledger {
	// Above what the load uses for locks that requests share.
	return &ledger{requests: make(map[batchKey]*request), lock: 1 << 40}
}

// mark returns the lock of a new request.
func (l *ledger) mark() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lock++
	return l.lock
}

// sent records a request before it is sent: what is not known of it yet counts as
// unanswered.
func (l *ledger) sent(r *request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.requests[r.batchKey] = r
}

func (l *ledger) answered(r *request, o outcome) {
	l.mu.Lock()
	defer l.mu.Unlock()
	r.outcome = o
}

// acknowledged reports whether any request of some agents was.
func (l *ledger) acknowledged(of func(agent string) bool) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for k, r := range l.requests {
		if r.outcome == acknowledged && of(k.agent) {
			return true
		}
	}
	return false
}

// reject records an answer that no request of the load should get.
func (l *ledger) reject(text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.faulty = append(l.faulty, text)
}

// takeFaulty returns what reject was told since the last call.
func (l *ledger) takeFaulty() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	texts := l.faulty
	l.faulty = nil
	return texts
}

// snapshot returns all requests. None may be under way.
func (l *ledger) snapshot() map[batchKey]*request {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.requests)
}
