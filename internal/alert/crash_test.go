package alert

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The holder of the lease dies before or after each of the things it does, the
// first and the second time it does it. The other replica takes over: each episode
// has one event of each kind, and each event is delivered.
func TestHolderDies(t *testing.T) {
	for _, call := range []string{"lease", "rules", "states", "transition", "undelivered", "notify", "delivered", "repeat"} {
		for n := 1; n <= 2; n++ {
			for _, after := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/%d/after=%v", call, n, after), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) { holderDies(t, call, n, after) })
				})
			}
		}
	}
}

func holderDies(t *testing.T, call string, n int, after bool) {
	w := newWorld()
	a := w.replica("a")
	rule := a.rule(t, nil)
	a.calls = map[string]int{}
	die := func(name string, times int) bool { return name == call && times == n }
	if after {
		a.after = die
	} else {
		a.before = die
	}
	a.started(t)
	passed(interval / 5) // it has the lease
	w.replica("b").started(t)

	const episodes = 3
	for range episodes {
		w.set(rule.ID, 2)
		passed(8 * interval)
		w.set(rule.ID, 0)
		passed(8 * interval)
	}
	require.True(t, a.isDead(), "it was not killed")
	require.Len(t, w.history(t), 2*episodes)
	w.check(t)
	// Only what was taken, but not marked, is told again.
	again := len(w.taken()) - 2*episodes
	if call == "notify" && after || call == "delivered" && !after {
		assert.Equal(t, 1, again)
	} else {
		assert.Zero(t, again)
	}
}

// A process that was stopped, and goes on when another one has taken its place,
// changes nothing by what it knew before.
func TestHolderWakesUp(t *testing.T) {
	for name, others := range map[string]func(w *world, id string){
		"nothing happened": func(*world, string) { passed(time.Hour) },
		"it fired and was resolved": func(w *world, id string) {
			w.set(id, 2)
			passed(time.Hour)
			w.set(id, 0)
			passed(time.Hour)
		},
		"it fires": func(w *world, id string) {
			w.set(id, 2)
			passed(time.Hour)
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				a := w.replica("a")
				rule := a.rule(t, nil)
				stopped := make(chan struct{})
				a.cfg.Evaluator = evaluatorFunc(func(rules []Rule) []Result {
					<-stopped
					return []Result{{Value: 2}}
				})
				a.started(t)
				passed(interval)
				b := w.replica("b").started(t)
				others(w, rule.ID)
				before := w.history(t)
				close(stopped)
				synctest.Wait()
				assert.Equal(t, before, w.history(t))
				a.kill()
				passed(interval)
				w.check(t)
				assert.False(t, b.isDead())
			})
		})
	}
}

// What POST evaluate does on all replicas at once fires once.
func TestEvaluateNowOnAllReplicas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		replicas := []*replica{w.replica("a").started(t), w.replica("b").started(t), w.replica("c")}
		rule := replicas[0].rule(t, nil)
		w.set(rule.ID, 2)
		type answer struct {
			rules []Evaluation
			err   error
		}
		answers := make(chan answer, 64)
		for i := range cap(answers) {
			go func() {
				rules, err := replicas[i%len(replicas)].EvaluateNow(context.Background(), tenant)
				answers <- answer{rules, err}
			}()
		}
		for range cap(answers) {
			got := <-answers
			require.NoError(t, got.err)
			require.Len(t, got.rules, 1)
			assert.True(t, got.rules[0].Firing(), "each call answers each rule that is true")
		}
		require.Len(t, w.history(t), 1)
		passed(2 * interval)
		w.check(t)
		require.Len(t, w.taken(), 1)
	})
}

// Replicas die and are started again at random, values and rules change, and people
// evaluate on any replica.
func TestRandomCrashes(t *testing.T) {
	for seed := range uint64(15) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { randomCrashes(t, rand.New(rand.NewPCG(seed, 5))) })
		})
	}
}

func randomCrashes(t *testing.T, rng *rand.Rand) {
	w := newWorld()
	replicas := make([]*replica, 3)
	for i := range replicas {
		replicas[i] = w.replica(fmt.Sprint("first ", i)).started(t)
	}
	var keys []Key
	for range 6 {
		r := w.replica("setup").rule(t, func(r *Rule) {
			r.For = time.Duration(rng.IntN(3)) * interval
			r.Rearm = time.Duration(rng.IntN(3)) * interval
		})
		keys = append(keys, r.Key())
	}
	calls := []string{"lease", "rules", "states", "transition", "undelivered", "notify", "delivered", "repeat"}
	for step := range 150 {
		i, key := rng.IntN(len(replicas)), keys[rng.IntN(len(keys))]
		r := replicas[i]
		switch rng.IntN(8) {
		case 0: // dies, some time later, while doing something
			call, n := calls[rng.IntN(len(calls))], 1+rng.IntN(3)
			r.mu.Lock()
			n += r.calls[call]
			die := func(name string, times int) bool { return name == call && times >= n }
			if rng.IntN(2) == 0 {
				r.before = die
			} else {
				r.after = die
			}
			r.mu.Unlock()
		case 1:
			if r.isDead() {
				replicas[i] = w.replica(fmt.Sprint("later ", step)).started(t)
			}
		case 2:
			_, _ = r.EvaluateNow(t.Context(), tenant)
		case 3:
			_, _ = r.Toggle(t.Context(), key)
		case 4:
			if step > 75 {
				_, _ = r.Delete(t.Context(), key)
			}
		default:
			w.set(key.ID, float64(rng.IntN(2)*2))
		}
		passed(time.Duration(rng.Int64N(int64(2 * interval))))
	}
	for _, k := range keys {
		w.set(k.ID, 0)
	}
	w.replica("last").started(t)
	passed(time.Hour)
	w.check(t)
	for _, e := range w.history(t) {
		require.NotZero(t, e.Episode)
	}
	states, err := w.States(t.Context(), dialect)
	require.NoError(t, err)
	for _, s := range states {
		assert.NotEqual(t, Firing, s.Phase)
	}
	assert.Greater(t, len(w.history(t)), 4, "the test does too little")
}
