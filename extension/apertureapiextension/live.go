package apertureapiextension

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
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
	// Bounds of what is kept to be shared: answers, stacks by kind of one answer,
	// bytes of one encoded answer and of all.
	maxLiveAnswers   = 128
	maxLiveRows      = 10_000
	maxLiveBody      = 8 << 20
	maxLiveBytes     = 64 << 20
	liveRowSize      = 512 // bytes of a stack that is not encoded, about
	liveAnswerMemory = 4 << 10
)

// liveAnswers shares the answers to live ranges, those that end now. Dashboards
// ask for the same range over and over, each at a time of its own: one answer a
// second does for all of them. It is safe for concurrent use.
type liveAnswers struct {
	// age is how long after the question an answer is shared, 0 for never.
	age  time.Duration
	work sync.WaitGroup

	mu      sync.Mutex
	closed  bool
	entries map[string]*liveAnswer
	bytes   int
}

type liveAnswer struct {
	done   chan struct{}
	cancel context.CancelFunc
	// waiting is the number of those who wait for it, guarded by liveAnswers.mu.
	waiting int

	// What follows is valid once done is closed.
	res *result
	// body is the encoded answer, nil if it is too long to be kept.
	body     []byte
	err      error
	panicked any
}

// size is about what an answer takes in memory.
func (e *liveAnswer) size() int {
	n := liveAnswerMemory + len(e.body)
	if e.res != nil && e.body == nil {
		for i := range e.res.merge.Kinds {
			n += len(e.res.merge.Kinds[i].Rows) * liveRowSize
		}
	}
	return n
}

func newLiveAnswers(age time.Duration) *liveAnswers {
	return &liveAnswers{age: age, entries: make(map[string]*liveAnswer)}
}

// close ends what is computed and waits for it.
func (l *liveAnswers) close() {
	l.mu.Lock()
	l.closed = true
	for _, e := range l.entries {
		e.cancel()
	}
	l.mu.Unlock()
	l.work.Wait()
}

// key names a query whose answer can be shared, whatever the second it was asked
// in. It is empty if there is none.
func (l *liveAnswers) key(q *query, rows int, now time.Time) string {
	if l.age <= 0 || q.start == 0 || q.end == 0 || rows > maxLiveRows {
		return ""
	}
	length := time.Duration(q.end - q.start)
	if length < liveLength || now.Sub(time.Unix(0, q.end)).Abs() > liveEnd {
		return ""
	}
	// Strings, numbers and maps of strings can all be encoded.
	key, _ := json.Marshal([]any{q.tenant, q.agentID, q.kind, q.service, q.labels, rows, q.order, length.Round(time.Second)})
	return string(key)
}

// get returns the answer of a query that was asked at most l.age ago, or that of
// compute, whose context ends when nobody waits for it any more. A panic of
// compute is one of all who wait.
func (l *liveAnswers) get(ctx context.Context, key string, compute func(context.Context, *liveAnswer)) *liveAnswer {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return &liveAnswer{err: context.Canceled}
	}
	e := l.entries[key]
	if e == nil {
		e = &liveAnswer{done: make(chan struct{})}
		var computing context.Context
		computing, e.cancel = context.WithCancel(context.WithoutCancel(ctx))
		if len(l.entries) < maxLiveAnswers {
			l.entries[key] = e
		}
		l.work.Go(func() { l.compute(computing, key, e, compute) })
	}
	e.waiting++
	l.mu.Unlock()
	select {
	case <-e.done:
		if e.panicked != nil {
			panic(e.panicked)
		}
		return e
	case <-ctx.Done():
		l.leave(key, e)
		return &liveAnswer{err: ctx.Err()}
	}
}

// leave is called by who does not wait any longer.
func (l *liveAnswers) leave(key string, e *liveAnswer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e.waiting--; e.waiting > 0 {
		return
	}
	select {
	case <-e.done:
	default:
		e.cancel()
		// Who comes now does not want what was cancelled.
		if l.entries[key] == e {
			delete(l.entries, key)
		}
	}
}

func (l *liveAnswers) compute(ctx context.Context, key string, e *liveAnswer, compute func(context.Context, *liveAnswer)) {
	asked := time.Now()
	func() {
		defer func() { e.panicked = recover() }()
		compute(ctx, e)
	}()
	e.cancel()
	close(e.done)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.entries[key] != e {
		return
	}
	left, size := l.age-time.Since(asked), e.size()
	if e.err != nil || e.panicked != nil || left <= 0 || l.bytes+size > maxLiveBytes {
		delete(l.entries, key)
		return
	}
	l.bytes += size
	time.AfterFunc(left, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.entries, key)
		l.bytes -= size
	})
}

// aggregateLive returns what sends the aggregate of a live range.
func (a *api) aggregateLive(w http.ResponseWriter, r *http.Request, key string, q *query) (func(), error) {
	e := a.live.get(r.Context(), key, func(ctx context.Context, e *liveAnswer) {
		if e.res, e.err = a.aggregate(ctx, q); e.err != nil {
			return
		}
		body := limitedBuffer{limit: maxLiveBody}
		if writeResult(&body, e.res, documented) == nil {
			e.body = body.buffer.Bytes()
		}
	})
	if e.err != nil {
		return nil, e.err
	}
	return func() {
		jsonHeaders(w, e.res.truncated())
		// An error can only mean that the client is gone.
		if e.body != nil {
			_, _ = w.Write(e.body)
			return
		}
		_ = writeResult(w, e.res, documented)
	}, nil
}

// documented are the options of an aggregate as the reference of the API has it.
var documented = aperturejson.Options{SkippedBatches: true}

var errTooLong = errors.New("too long")

// limitedBuffer takes limit bytes and no more.
type limitedBuffer struct {
	// Not embedded: that would let writers past the limit.
	buffer bytes.Buffer
	limit  int
}

// Write implements [io.Writer].
func (b *limitedBuffer) Write(p []byte) (int, error) {
	if b.buffer.Len()+len(p) > b.limit {
		return 0, errTooLong
	}
	return b.buffer.Write(p)
}
