package alert

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestEngineFiresAndResolves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		r := w.replica("a").started(t)
		rule := r.rule(t, func(r *Rule) { r.For, r.Rearm = time.Minute, 2*time.Minute })
		passed(2 * interval)
		assert.Empty(t, w.history(t))

		w.set(rule.ID, 2)
		passed(2 * interval)
		assert.Empty(t, w.history(t), "it is only pending")
		list, err := r.List(t.Context(), tenant)
		require.NoError(t, err)
		assert.Equal(t, Pending, list[0].State.Phase)
		assert.True(t, list[0].Met)
		assert.InDelta(t, 2, list[0].Result.Value, 0)

		passed(time.Minute)
		checkEpisodes(t, w.history(t))
		require.Len(t, w.history(t), 1)
		ids, times := r.reminded()
		assert.Equal(t, []string{rule.ID}, ids)
		passed(4 * interval)
		_, later := r.reminded()
		assert.Greater(t, later, times, "it is repeated")

		w.set(rule.ID, 0)
		passed(time.Minute)
		require.Len(t, w.history(t), 1, "it is not clear for long enough")
		passed(2 * time.Minute)
		require.Len(t, w.history(t), 2)
		w.check(t)
		assert.Len(t, w.taken(), 2, "nothing is told twice")
		ids, _ = r.reminded()
		assert.Empty(t, ids)
	})
}

func TestEngineKeepsWhatItCannotEvaluate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		r := w.replica("a").started(t)
		rule := r.rule(t, nil)
		w.set(rule.ID, 2)
		passed(2 * interval)
		require.Len(t, w.history(t), 1)
		w.set(rule.ID, 0)
		w.fail(rule.ID, errAway)
		passed(10 * interval)
		require.Len(t, w.history(t), 1)
		list, err := r.List(t.Context(), tenant)
		require.NoError(t, err)
		assert.Equal(t, errAway, list[0].Result.Err)
		assert.Equal(t, Firing, list[0].State.Phase)
		ids, _ := r.reminded()
		assert.Equal(t, []string{rule.ID}, ids)
	})
}

// While the store is away nothing is resolved, here or at a receiver that forgets
// what it is not reminded of.
func TestEngineWithoutStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		r := w.replica("a")
		var failures atomic.Int64
		r.cfg.Observer.Failed = func(_ context.Context, err error) {
			require.ErrorIs(t, err, errAway)
			failures.Add(1)
		}
		var away atomic.Bool
		store := r.cfg.Store
		r.cfg.Store = &awayStore{store, &away}
		r.started(t)
		rule := r.rule(t, nil)
		w.set(rule.ID, 2)
		passed(2 * interval)
		require.Len(t, w.history(t), 1)
		_, times := r.reminded()

		away.Store(true)
		w.set(rule.ID, 0)
		passed(10 * interval)
		assert.NotZero(t, failures.Load())
		ids, later := r.reminded()
		assert.Equal(t, []string{rule.ID}, ids)
		assert.Greater(t, later, times+5)
		_, err := r.EvaluateNow(t.Context(), tenant)
		require.ErrorIs(t, err, errAway)
		_, err = r.Create(t.Context(), rule)
		require.ErrorIs(t, err, errAway)
		_, err = r.Delete(t.Context(), rule.Key())
		require.ErrorIs(t, err, errAway)

		away.Store(false)
		passed(2 * interval)
		require.Len(t, w.history(t), 2)
		// The deliveries may have backed off.
		passed(maxBackoff * 2)
		w.check(t)
	})
}

// awayStore is a store that is away at times.
type awayStore struct {
	Store
	away *atomic.Bool
}

func (s *awayStore) err() error {
	if s.away.Load() {
		return errAway
	}
	return nil
}

func (s *awayStore) Rules(ctx context.Context, d string) ([]Rule, error) {
	if err := s.err(); err != nil {
		return nil, err
	}
	return s.Store.Rules(ctx, d)
}

func (s *awayStore) TenantRules(ctx context.Context, d, tenant string) ([]Rule, error) {
	if err := s.err(); err != nil {
		return nil, err
	}
	return s.Store.TenantRules(ctx, d, tenant)
}

func (s *awayStore) Rule(ctx context.Context, d string, k Key) (Rule, error) {
	if err := s.err(); err != nil {
		return Rule{}, err
	}
	return s.Store.Rule(ctx, d, k)
}

func (s *awayStore) Usage(ctx context.Context, d, tenant string) (Usage, error) {
	if err := s.err(); err != nil {
		return Usage{}, err
	}
	return s.Store.Usage(ctx, d, tenant)
}

func (s *awayStore) Lease(ctx context.Context, d, holder string, ttl time.Duration) (bool, error) {
	if err := s.err(); err != nil {
		return false, err
	}
	return s.Store.Lease(ctx, d, holder, ttl)
}

// hangingEvaluator does not answer before its context ends, or not at all.
type hangingEvaluator struct{ until chan struct{} }

func (h hangingEvaluator) Evaluate(ctx context.Context, _ time.Time, rules []Rule) []Result {
	select {
	case <-ctx.Done():
	case <-h.until:
	}
	results := make([]Result, len(rules))
	for i := range results {
		results[i].Err = ctx.Err()
	}
	return results
}

func TestShutdownEndsEvaluationAndDelivery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		r := w.replica("a")
		rule := r.rule(t, nil)
		w.set(rule.ID, 2)
		_, err := r.EvaluateNow(t.Context(), tenant)
		require.NoError(t, err)
		r.set(false, true)
		r.cfg.Evaluator = hangingEvaluator{}
		r.cfg.Timeout = time.Hour
		r.cfg.LeaseTTL = time.Hour
		r.Start()
		passed(interval)
		begun := time.Now()
		require.NoError(t, r.Shutdown(t.Context()))
		require.NoError(t, r.Shutdown(t.Context()), "twice")
		assert.Zero(t, time.Since(begun))
		// The lease is free at once.
		ok, err := w.Lease(t.Context(), dialect, "another", interval)
		require.NoError(t, err)
		assert.True(t, ok)
	})
	require.NoError(t, New(Config{}).Shutdown(t.Context()), "never started")
}

func TestShutdownOfWhatDoesNotEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newWorld().replica("a")
		stuck := make(chan struct{})
		r.cfg.Evaluator = stuckEvaluator{stuck}
		r.rule(t, nil)
		r.Start()
		passed(interval)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.ErrorIs(t, r.Shutdown(ctx), context.DeadlineExceeded)
		close(stuck)
		synctest.Wait()
	})
}

type stuckEvaluator struct{ until chan struct{} }

func (s stuckEvaluator) Evaluate(_ context.Context, _ time.Time, rules []Rule) []Result {
	<-s.until
	return make([]Result, len(rules))
}

// An evaluator which hangs is ended by the timeout; one that loses results makes
// no rule resolve.
func TestEngineWithABadEvaluator(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		r := w.replica("a")
		var rules, failed int
		r.cfg.Observer.Evaluated = func(_ context.Context, n, bad int, _ time.Duration) { rules, failed = n, bad }
		rule := r.rule(t, nil)
		w.set(rule.ID, 2)
		_, err := r.EvaluateNow(t.Context(), tenant)
		require.NoError(t, err)
		assert.Equal(t, []int{1, 0}, []int{rules, failed})

		for _, bad := range []Evaluator{hangingEvaluator{}, evaluatorFunc(func([]Rule) []Result { return nil })} {
			rules, failed = 0, 0
			r.cfg.Evaluator = bad
			got, err := r.EvaluateNow(t.Context(), tenant)
			require.NoError(t, err)
			require.Len(t, got, 1)
			require.Error(t, got[0].Result.Err)
			assert.False(t, got[0].Met)
			assert.Equal(t, Firing, got[0].State.Phase)
			assert.Equal(t, []int{1, 1}, []int{rules, failed})
		}
		require.Len(t, w.history(t), 1)
	})
}

type evaluatorFunc func([]Rule) []Result

func (f evaluatorFunc) Evaluate(_ context.Context, _ time.Time, rules []Rule) []Result {
	return f(rules)
}

func TestObserver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		r := w.replica("a")
		var events, rules, firing int
		statuses := map[DeliveryStatus]int{}
		r.cfg.Observer.Event = func(context.Context, Event) { events++ }
		r.cfg.Observer.Rules = func(_ context.Context, n, f int) { rules, firing = n, f }
		r.cfg.Observer.Delivery = func(_ context.Context, name string, s DeliveryStatus, n int) {
			assert.Equal(t, "receiver", name)
			statuses[s] += n
		}
		r.started(t)
		rule := r.rule(t, nil)
		r.rule(t, nil)
		w.set(rule.ID, 2)
		r.set(true, false)
		passed(4 * interval)
		assert.Equal(t, []int{1, 2, 1}, []int{events, rules, firing})
		assert.Zero(t, statuses[DeliveryOK])
		assert.NotZero(t, statuses[DeliveryFailed])
		r.set(false, false)
		passed(maxBackoff)
		assert.Equal(t, 1, statuses[DeliveryOK])
		// Another replica has the lease: this one has nothing to tell.
		_, err := w.Lease(t.Context(), dialect, r.holder, 0)
		require.NoError(t, err)
		_, err = w.Lease(t.Context(), dialect, "other", time.Hour)
		require.NoError(t, err)
		passed(2 * interval)
		assert.Equal(t, []int{0, 0}, []int{rules, firing})
	})
}

func TestPermanentErrorsDropEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		r := w.replica("a")
		var dropped int
		r.cfg.Observer.Delivery = func(_ context.Context, _ string, s DeliveryStatus, n int) {
			if s == DeliveryDropped {
				dropped += n
			}
		}
		calls := 0
		r.receivers[0].n = notifierFunc(func([]Event) error {
			calls++
			return errors.Join(ErrPermanent, errAway)
		})
		r.started(t)
		w.set(r.rule(t, nil).ID, 2)
		passed(10 * interval)
		assert.Equal(t, 1, dropped)
		assert.Equal(t, 1, calls)
	})
}

type notifierFunc func([]Event) error

func (notifierFunc) Name() string { return "receiver" }

func (f notifierFunc) Notify(_ context.Context, events []Event) error { return f(events) }
