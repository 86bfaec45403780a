package alert

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// namedNotifier is a receiver of its own.
type namedNotifier struct {
	name   string
	events atomic.Int64
	// notify is called before events are taken, unless mended.
	notify func(ctx context.Context, events []Event) error
	mended atomic.Bool
}

func (n *namedNotifier) Name() string { return n.name }

func (n *namedNotifier) Notify(ctx context.Context, events []Event) error {
	if n.notify != nil && !n.mended.Load() {
		if err := n.notify(ctx, events); err != nil {
			return err
		}
	}
	n.events.Add(int64(len(events)))
	return nil
}

func TestDeadReceiversDelayNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		r := w.replica("a")
		good := &namedNotifier{name: "good"}
		var attempts atomic.Int64
		down := &namedNotifier{name: "down", notify: func(context.Context, []Event) error {
			attempts.Add(1)
			return errAway
		}}
		hangs := &namedNotifier{name: "hangs", notify: func(ctx context.Context, _ []Event) error {
			<-ctx.Done()
			return ctx.Err()
		}}
		r.receivers = nil
		for _, n := range []Notifier{down, hangs, good} {
			r.receivers = append(r.receivers, newReceiver(r.Engine, n))
		}
		r.started(t)
		rule := r.rule(t, nil)
		w.set(rule.ID, 2)
		passed(2 * interval)
		assert.Equal(t, int64(1), good.events.Load())
		w.set(rule.ID, 0)
		passed(2 * interval)
		assert.Equal(t, int64(2), good.events.Load())

		passed(time.Hour)
		// One a second would be 3600.
		assert.Greater(t, attempts.Load(), int64(5))
		assert.Less(t, attempts.Load(), int64(60))
		require.Len(t, w.history(t), 2)
		down.mended.Store(true)
		hangs.mended.Store(true)
		passed(2 * maxBackoff)
		assert.Equal(t, int64(2), down.events.Load())
		assert.Equal(t, int64(2), hangs.events.Load())
		assert.Equal(t, int64(2), good.events.Load())
	})
}

func TestDeliveryInBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		r := w.replica("a")
		r.cfg.MaxRules = 1000
		var batches []int
		r.receivers[0].n = &namedNotifier{name: "receiver", notify: func(_ context.Context, events []Event) error {
			batches = append(batches, len(events))
			return nil
		}}
		const rules = 2*deliveryBatch + 1
		for range rules {
			w.set(r.rule(t, nil).ID, 2)
		}
		r.started(t)
		passed(2 * interval)
		assert.Equal(t, []int{deliveryBatch, deliveryBatch, 1}, batches)
	})
}

// Events of a day ago are news to nobody.
func TestOldEventsAreNotDelivered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		r := w.replica("a").started(t)
		r.set(true, false)
		w.set(r.rule(t, nil).ID, 2)
		passed(deliverySince + time.Hour)
		w.set(r.rule(t, nil).ID, 2)
		r.set(false, false)
		passed(2 * maxBackoff)
		require.Len(t, w.taken(), 1)
		assert.Equal(t, "alert-2", w.taken()[0].Key.ID)
		ids, _ := r.reminded()
		assert.Equal(t, []string{"alert-1", "alert-2"}, ids, "but they are repeated")
	})
}

// A receiver that is slow must not take what it is reminded of for the last word.
func TestRepeatComesBeforeTheEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		n := &slowRepeater{}
		r := w.replica("a")
		r.receivers[0].n = n
		r.started(t)
		rule := r.rule(t, nil)
		w.set(rule.ID, 2)
		passed(5 * interval)
		w.set(rule.ID, 0)
		passed(20 * interval)
		assert.Equal(t, Resolved, n.last)
	})
}

// slowRepeater needs several intervals for everything.
type slowRepeater struct{ last Phase }

func (*slowRepeater) LongestPause(time.Duration) {}

func (*slowRepeater) Name() string { return "slow" }

func (s *slowRepeater) Notify(_ context.Context, events []Event) error {
	time.Sleep(3 * interval)
	s.last = events[len(events)-1].Phase
	return nil
}

func (s *slowRepeater) Repeat(_ context.Context, _ time.Time, firing []Event) error {
	time.Sleep(2 * interval)
	if len(firing) > 0 {
		s.last = Firing
	}
	return nil
}

// Only the holder of the lease delivers, also what others have found.
func TestFollowersDeliverNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		a := w.replica("a").started(t)
		passed(interval)
		b := w.replica("b").started(t)
		w.set(a.rule(t, nil).ID, 2)
		_, err := b.EvaluateNow(t.Context(), tenant)
		require.NoError(t, err)
		passed(10 * interval)
		require.Len(t, w.taken(), 1)
		assert.Equal(t, 1, a.count("notify"))
		for _, call := range []string{"undelivered", "notify", "delivered", "repeat"} {
			assert.Zero(t, b.count(call), call)
		}
	})
}

// What was taken while we are shut down is marked, so that it is not told again.
func TestShutdownMarksWhatWasTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		r := w.replica("a")
		n := &namedNotifier{name: "receiver", notify: func(ctx context.Context, _ []Event) error {
			<-ctx.Done() // but takes it
			return nil
		}}
		r.receivers[0].n = n
		w.set(r.rule(t, nil).ID, 2)
		r.Start()
		passed(interval)
		require.Zero(t, n.events.Load())
		require.NoError(t, r.Shutdown(t.Context()))
		require.Equal(t, int64(1), n.events.Load())
		left, err := w.Undelivered(t.Context(), dialect, "receiver", time.Time{}, nil, 10)
		require.NoError(t, err)
		assert.Empty(t, left)
	})
}

func TestEventsOfARuleAreInOrder(t *testing.T) {
	a, b := Key{"t", "a"}, Key{"t", "b"}
	events := []Event{{Key: a, Seq: 2}, {Key: b, Seq: 1}, {Key: a, Seq: 1}, {Key: b, Seq: 3}, {Key: a, Seq: 3}}
	inOrder(events)
	assert.Equal(t, []Event{{Key: a, Seq: 1}, {Key: b, Seq: 1}, {Key: a, Seq: 2}, {Key: b, Seq: 3}, {Key: a, Seq: 3}}, events)
}

// A clock was mended between the two events.
func TestDeliveryAfterAClockWasMended(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		r := w.replica("a")
		rule := r.rule(t, nil)
		rule.Enabled = false // nobody else changes it
		rule.Revision++
		require.NoError(t, w.PutRule(t.Context(), &rule))
		rule.Enabled = true
		s, e := Next(&rule, State{}, high, time.Now())
		require.NoError(t, w.Transition(t.Context(), dialect, &s, e))
		s, e = Next(&rule, s, low, time.Now().Add(-time.Hour))
		require.NoError(t, w.Transition(t.Context(), dialect, &s, e))
		r.started(t)
		passed(interval)
		require.Len(t, w.taken(), 2)
		checkOrder(t, w.taken())
	})
}

func checkOrder(t *testing.T, events []Event) {
	t.Helper()
	for i := range events {
		assert.Equal(t, uint64(i+1), events[i].Seq)
	}
}
