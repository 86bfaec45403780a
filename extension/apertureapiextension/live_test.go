package apertureapiextension

import (
	"context"
	"errors"
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
	key := l.key(live(quarter, now), now)
	require.NotEmpty(t, key)
	assert.Equal(t, key, l.key(live(quarter.Add(300*time.Millisecond), now.Add(400*time.Millisecond)), now.Add(time.Second)))
	for name, other := range map[string]*query{
		"longer":        live(quarter.Add(-time.Second), now),
		"of a tenant":   {tenant: "b", start: quarter.UnixNano(), end: now.UnixNano()},
		"of a service":  {tenant: "a", start: quarter.UnixNano(), end: now.UnixNano(), service: "x"},
		"of a kind":     {tenant: "a", start: quarter.UnixNano(), end: now.UnixNano(), kind: "cpu"},
		"of an agent":   {tenant: "a", start: quarter.UnixNano(), end: now.UnixNano(), agentID: new(string)},
		"with a limit":  {tenant: "a", start: quarter.UnixNano(), end: now.UnixNano(), limit: new(int)},
		"with a label":  {tenant: "a", start: quarter.UnixNano(), end: now.UnixNano(), labels: map[string]string{"a": "b"}},
		"in true order": {tenant: "a", start: quarter.UnixNano(), end: now.UnixNano(), order: 1},
	} {
		got := l.key(other, now)
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
		assert.Empty(t, l.key(other, now), name)
	}
	off := newLiveAnswers(0)
	defer off.close()
	assert.Empty(t, off.key(live(quarter, now), now))
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
	assert.LessOrEqual(t, len(l.entries), 100)
}

func TestLiveCloseEndsComputing(t *testing.T) {
	l := newLiveAnswers(time.Hour)
	go l.get(t.Context(), "k", func(ctx context.Context, e *liveAnswer) { <-ctx.Done(); e.err = ctx.Err() })
	l.close()
}
