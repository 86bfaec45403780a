package apertureapiextension

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"sync"
	"time"

	"github.com/aperture-collector/aperture-collector/internal/aperturejson"
)

const (
	// liveEnd is how far from now the end of a live range may be: clients' clocks
	// differ a little from ours.
	liveEnd = 2 * time.Second
	// liveLength is the shortest live range: in a shorter one a second is much.
	liveLength = 10 * time.Second
	// maxLiveAnswers and maxLiveBytes bound what is kept to be shared.
	maxLiveAnswers = 128
	maxLiveBytes   = 64 << 20
)

// liveAnswers shares the answers to live ranges, those that end now. Dashboards
// ask for the same range over and over, each at a time of its own: one answer a
// second does for all of them. It is safe for concurrent use.
type liveAnswers struct {
	// age is how long after the question an answer is shared, 0 for never.
	age  time.Duration
	stop context.CancelFunc
	ctx  context.Context
	work sync.WaitGroup

	mu      sync.Mutex
	closed  bool
	entries map[string]*liveAnswer
	bytes   int
}

type liveAnswer struct {
	done chan struct{}
	// What follows is valid once done is closed.
	body      []byte
	truncated bool
	err       error
}

func newLiveAnswers(age time.Duration) *liveAnswers {
	l := &liveAnswers{age: age, entries: make(map[string]*liveAnswer)}
	l.ctx, l.stop = context.WithCancel(context.Background())
	return l
}

// close ends what is computed and waits for it.
func (l *liveAnswers) close() {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	l.stop()
	l.work.Wait()
}

// key names a query whose answer can be shared, whatever the second it was asked
// in. It is empty if there is none.
func (l *liveAnswers) key(q *query, now time.Time) string {
	if l.age <= 0 || q.start == 0 || q.end == 0 {
		return ""
	}
	length := time.Duration(q.end - q.start)
	if length < liveLength || now.Sub(time.Unix(0, q.end)).Abs() > liveEnd {
		return ""
	}
	// Strings, numbers and maps of strings can all be encoded.
	key, _ := json.Marshal([]any{q.tenant, q.agentID, q.kind, q.service, q.labels, q.limit, q.order, length.Round(time.Second)})
	return string(key)
}

// get returns the answer of a query that was asked at most l.age ago, or that of
// compute. It ends early with ctx; compute goes on for those who wait with it.
func (l *liveAnswers) get(ctx context.Context, key string, compute func(context.Context, *liveAnswer)) *liveAnswer {
	l.mu.Lock()
	e := l.entries[key]
	if l.closed {
		l.mu.Unlock()
		return &liveAnswer{err: context.Canceled}
	}
	if e == nil {
		e = &liveAnswer{done: make(chan struct{})}
		if len(l.entries) < maxLiveAnswers {
			l.entries[key] = e
		}
		l.work.Go(func() { l.compute(key, e, compute) })
	}
	l.mu.Unlock()
	select {
	case <-e.done:
		return e
	case <-ctx.Done():
		return &liveAnswer{err: ctx.Err()}
	}
}

func (l *liveAnswers) compute(key string, e *liveAnswer, compute func(context.Context, *liveAnswer)) {
	asked := time.Now()
	compute(l.ctx, e)
	close(e.done)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.entries[key] != e {
		return
	}
	left := l.age - time.Since(asked)
	if e.err != nil || left <= 0 || l.bytes+len(e.body) > maxLiveBytes {
		delete(l.entries, key)
		return
	}
	l.bytes += len(e.body)
	time.AfterFunc(left, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.entries, key)
		l.bytes -= len(e.body)
	})
}

// aggregateLive returns what sends the aggregate of a live range.
func (a *api) aggregateLive(w http.ResponseWriter, r *http.Request, key string, q *query) (func(), error) {
	e := a.live.get(r.Context(), key, func(ctx context.Context, e *liveAnswer) {
		var res *result
		if res, e.err = a.aggregate(ctx, q); e.err != nil {
			return
		}
		e.truncated = res.truncated()
		var body bytes.Buffer
		// A buffer takes all.
		_ = writeResult(&body, res, aperturejson.Options{SkippedBatches: true})
		e.body = body.Bytes()
	})
	if e.err != nil {
		return nil, e.err
	}
	return func() {
		jsonHeaders(w, e.truncated)
		_, _ = w.Write(e.body)
	}, nil
}
