package apertureapiextension

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func live(start, end time.Time) *query {
	return &query{tenant: "a", start: start.UnixNano(), end: end.UnixNano()}
}

func TestLiveKey(t *testing.T) {
	l := newLiveAnswers(time.Second)
	defer l.close()
	now := time.Unix(1_800_000_000, 123_456_789)
	quarter := now.Add(-15 * time.Minute)
	key := l.key(live(quarter, now), 10, now)
	require.NotEmpty(t, key)
	assert.Equal(t, key, l.key(live(quarter.Add(300*time.Millisecond), now.Add(400*time.Millisecond)), 10, now.Add(time.Second)))
	for name, other := range map[string]*query{
		"longer":        live(quarter.Add(-time.Second), now),
		"of a tenant":   {tenant: "b", start: quarter.UnixNano(), end: now.UnixNano()},
		"of a service":  {tenant: "a", start: quarter.UnixNano(), end: now.UnixNano(), service: "x"},
		"of a kind":     {tenant: "a", start: quarter.UnixNano(), end: now.UnixNano(), kind: "cpu"},
		"of an agent":   {tenant: "a", start: quarter.UnixNano(), end: now.UnixNano(), agentID: new(string)},
		"with a label":  {tenant: "a", start: quarter.UnixNano(), end: now.UnixNano(), labels: map[string]string{"a": "b"}},
		"in true order": {tenant: "a", start: quarter.UnixNano(), end: now.UnixNano(), order: 1},
	} {
		got := l.key(other, 10, now)
		assert.NotEmpty(t, got, name)
		assert.NotEqual(t, key, got, name)
	}
	for name, other := range map[string]*query{
		"in the past":   live(quarter, now.Add(-3*time.Second)),
		"in the future": live(quarter, now.Add(3*time.Second)),
		"short":         live(now.Add(-9*time.Second), now),
		"without start": {tenant: "a", end: now.UnixNano()},
		"without end":   {tenant: "a", start: quarter.UnixNano()},
	} {
		assert.Empty(t, l.key(other, 10, now), name)
	}
	assert.NotEqual(t, key, l.key(live(quarter, now), 11, now), "with another limit")
	assert.Empty(t, l.key(live(quarter, now), maxLiveRows+1, now), "large")
	off := newLiveAnswers(0)
	defer off.close()
	assert.Empty(t, off.key(live(quarter, now), 10, now))
}

// waiting returns how many wait for an answer.
func (l *liveAnswers) waiting(key string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e := l.entries[key]; e != nil {
		return e.waiting
	}
	return 0
}

func TestLiveAnswersAreShared(t *testing.T) {
	l := newLiveAnswers(time.Hour)
	defer l.close()
	var computed atomic.Int32
	begin := make(chan struct{})
	compute := func(_ context.Context, e *liveAnswer) {
		<-begin
		computed.Add(1)
		e.body = []byte("answer")
	}
	var clients sync.WaitGroup
	for range 50 {
		clients.Go(func() { assert.Equal(t, "answer", string(l.get(t.Context(), "k", compute).body)) })
	}
	require.Eventually(t, func() bool { return l.waiting("k") == 50 }, 10*time.Second, time.Millisecond)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	assert.ErrorIs(t, l.get(gone, "k", compute).err, context.Canceled)
	close(begin)
	clients.Wait()
	l.get(t.Context(), "k", compute)
	assert.EqualValues(t, 1, computed.Load())
	l.get(t.Context(), "other", compute)
	assert.EqualValues(t, 2, computed.Load())
}

func TestLiveAnswersEnd(t *testing.T) {
	l := newLiveAnswers(20 * time.Millisecond)
	defer l.close()
	count := 0
	compute := func(_ context.Context, e *liveAnswer) { count++; e.body = make([]byte, 1000) }
	l.get(t.Context(), "k", compute)
	require.Eventually(t, func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return len(l.entries) == 0 && l.bytes == 0
	}, 10*time.Second, time.Millisecond)
	l.get(t.Context(), "k", compute)
	assert.Equal(t, 2, count)
}

func TestLiveFailuresAreNotKept(t *testing.T) {
	l := newLiveAnswers(time.Hour)
	defer l.close()
	failed := errors.New("failed")
	e := l.get(t.Context(), "k", func(_ context.Context, e *liveAnswer) { e.err = failed })
	require.ErrorIs(t, e.err, failed)
	require.Eventually(t, func() bool {
		return l.get(t.Context(), "k", func(_ context.Context, e *liveAnswer) { e.body = []byte("x") }).err == nil
	}, 10*time.Second, time.Millisecond)
}

func TestLiveAnswersAreBounded(t *testing.T) {
	l := newLiveAnswers(time.Hour)
	defer l.close()
	for i := range 3 * maxLiveAnswers {
		l.get(t.Context(), strings.Repeat("k", i+1), func(_ context.Context, e *liveAnswer) { e.body = make([]byte, maxLiveBytes/100) })
	}
	l.work.Wait()
	assert.LessOrEqual(t, l.bytes, maxLiveBytes)
	assert.Less(t, len(l.entries), 100)
}

// A query whose clients are all gone is ended, and the next one asks again.
func TestLiveQueriesEndWithTheirClients(t *testing.T) {
	l := newLiveAnswers(time.Hour)
	defer l.close()
	ended := make(chan struct{})
	hang := func(ctx context.Context, e *liveAnswer) { <-ctx.Done(); e.err = ctx.Err(); close(ended) }
	first, leaveFirst := context.WithCancel(t.Context())
	second, leaveSecond := context.WithCancel(t.Context())
	var clients sync.WaitGroup
	for _, ctx := range []context.Context{first, second} {
		clients.Go(func() { assert.ErrorIs(t, l.get(ctx, "k", hang).err, context.Canceled) })
	}
	require.Eventually(t, func() bool { return l.waiting("k") == 2 }, 10*time.Second, time.Millisecond)
	leaveFirst()
	require.Never(t, func() bool { return len(ended) > 0 || isClosed(ended) }, 50*time.Millisecond, 5*time.Millisecond)
	leaveSecond()
	clients.Wait()
	<-ended
	assert.NoError(t, l.get(t.Context(), "k", func(_ context.Context, e *liveAnswer) { e.body = []byte("x") }).err)
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func TestLivePanicIsThatOfTheRequest(t *testing.T) {
	l := newLiveAnswers(time.Hour)
	defer l.close()
	assert.PanicsWithValue(t, "bad", func() {
		l.get(t.Context(), "k", func(context.Context, *liveAnswer) { panic("bad") })
	})
}

func TestLiveCloseEndsComputing(t *testing.T) {
	l := newLiveAnswers(time.Hour)
	started := make(chan struct{})
	var client sync.WaitGroup
	client.Go(func() {
		l.get(t.Context(), "k", func(ctx context.Context, e *liveAnswer) { close(started); <-ctx.Done(); e.err = ctx.Err() })
	})
	<-started
	l.close()
	client.Wait()
	assert.ErrorIs(t, l.get(t.Context(), "k", nil).err, context.Canceled)
}

// Answers that are too long to be kept are still right, and take little memory.
func TestLongLiveAnswers(t *testing.T) {
	b := limitedBuffer{limit: 10}
	n, err := b.Write(make([]byte, 10))
	require.NoError(t, err)
	assert.Equal(t, 10, n)
	_, err = b.Write([]byte("x"))
	require.ErrorIs(t, err, errTooLong)
	assert.Equal(t, 10, b.buffer.Len())
}

func TestBounded(t *testing.T) {
	const head, row = 100, 37
	for _, rows := range []int{0, 1, 10, 511, 512, 513, 5000, 100_000} {
		for _, limit := range []int{0, 50, head, head + row, 10_000, 1 << 20, 1 << 30} {
			most := 0
			text, whole := bounded(rows, limit, func(out io.Writer, n int) error {
				written := 0
				for _, part := range append(make([]int, 0, n+1), append([]int{head}, slices.Repeat([]int{row}, n)...)...) {
					if _, err := out.Write(make([]byte, part)); err != nil {
						return err
					}
					written += part
				}
				most = max(most, written)
				return nil
			})
			all := head + rows*row
			assert.Equal(t, len(text) == all, whole)
			assert.LessOrEqual(t, len(text), max(limit, head))
			assert.LessOrEqual(t, most, max(limit, head))
			if all <= limit*8/10 {
				assert.Len(t, text, all, "%d rows in %d bytes", rows, limit)
			} else if limit > 10*head {
				assert.GreaterOrEqual(t, len(text), limit*7/10, "%d rows in %d bytes", rows, limit)
			}
		}
	}
}
