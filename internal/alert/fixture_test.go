package alert

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const (
	tenant   = "anonymous"
	interval = 15 * time.Second
	dialect  = "aperture"
)

var errDead = errors.New("the process is dead")

// world is what all replicas see: the values, and the store. Its clock is that of
// the synctest bubble, so that hours pass at once.
type world struct {
	*Memory
	mu     sync.Mutex
	values map[string]float64
	errs   map[string]error
	// told are the events that were taken by the receiver, which all replicas tell.
	told []Event
}

func newWorld() *world {
	return &world{Memory: NewMemory(), values: map[string]float64{}, errs: map[string]error{}}
}

func (w *world) set(id string, value float64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.values[id] = value
}

func (w *world) fail(id string, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.errs[id] = err
}

// Evaluate implements Evaluator.
func (w *world) Evaluate(_ context.Context, _ time.Time, rules []Rule) []Result {
	w.mu.Lock()
	defer w.mu.Unlock()
	results := make([]Result, len(rules))
	for i, r := range rules {
		results[i] = Result{Value: w.values[r.ID], Err: w.errs[r.ID], Metric: "m"}
	}
	return results
}

// replica is an engine, and all that it sees. When dead it does nothing any more:
// what it calls never comes back to it.
type replica struct {
	*Engine
	w    *world
	name string

	mu    sync.Mutex
	dead  bool
	calls map[string]int
	// before and after are told of calls, by their names and how often they were
	// called, and may kill the replica.
	before, after func(call string, n int) (die bool)

	// down is whether the receiver is away; hang whether it does not answer.
	down, hang bool
	// repeated are the events the receiver was last reminded of.
	repeated []Event
	repeats  int
}

var (
	_ Store    = (*replica)(nil)
	_ Repeater = (*replica)(nil)
)

// replica returns an engine which is not started.
func (w *world) replica(name string) *replica {
	r := &replica{w: w, name: name, calls: map[string]int{}}
	r.Engine = New(Config{
		Dialect: dialect, IDPrefix: "alert-", Store: r, Evaluator: w, Notifiers: []Notifier{r}, Interval: interval,
		MaxRules: 100,
	})
	return r
}

// started starts r, and shuts it down at the end of the test.
func (r *replica) started(t *testing.T) *replica {
	t.Helper()
	r.Start()
	t.Cleanup(func() { assert.NoError(t, r.Shutdown(context.Background())) })
	return r
}

// call does what a replica does, unless it is dead or dies of it.
func (r *replica) call(name string, do func() error) error {
	r.mu.Lock()
	r.calls[name]++
	n, before, after := r.calls[name], r.before, r.after
	if r.dead || before != nil && before(name, n) {
		r.dead = true
		r.mu.Unlock()
		return errDead
	}
	r.mu.Unlock()
	err := do()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.dead || after != nil && after(name, n) {
		r.dead = true
		return errDead
	}
	return err
}

func (r *replica) kill() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.dead = true
}

// count returns how often a call was made.
func (r *replica) count(call string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.calls[call]
}

// meanwhile has do done before the next call of that name.
func (r *replica) meanwhile(call string, do func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := r.calls[call] + 1
	r.before = func(name string, times int) bool {
		if name == call && times == n {
			do()
		}
		return false
	}
}

func (r *replica) isDead() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.dead
}

// Name implements Notifier: all replicas tell the same receiver.
func (r *replica) Name() string { return "receiver" }

// Notify implements Notifier.
func (r *replica) Notify(ctx context.Context, events []Event) error {
	return r.call("notify", func() error {
		r.mu.Lock()
		down, hang := r.down, r.hang
		r.mu.Unlock()
		if hang {
			<-ctx.Done()
			return ctx.Err()
		}
		if down {
			return errAway
		}
		r.w.mu.Lock()
		defer r.w.mu.Unlock()
		r.w.told = append(r.w.told, events...)
		return nil
	})
}

// LongestPause implements Repeater.
func (*replica) LongestPause(time.Duration) {}

// Repeat implements Repeater.
func (r *replica) Repeat(_ context.Context, _ time.Time, firing []Event) error {
	return r.call("repeat", func() error {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.repeated, r.repeats = firing, r.repeats+1
		return nil
	})
}

func (r *replica) set(down, hang bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.down, r.hang = down, hang
}

// taken returns what the receiver took.
func (w *world) taken() []Event {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.told)
}

// reminded returns the rules the receiver was last reminded of, and how often it was.
func (r *replica) reminded() (ids []string, times int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.repeated {
		ids = append(ids, e.Key.ID)
	}
	return ids, r.repeats
}

// rule creates a rule that fires if its value is above 1.
func (r *replica) rule(t *testing.T, change func(*Rule)) Rule {
	t.Helper()
	rule := Rule{Tenant: tenant, Name: "name", Enabled: true, Operator: Greater, Threshold: 1}
	if change != nil {
		change(&rule)
	}
	rule, err := r.Create(t.Context(), rule)
	require.NoError(t, err)
	return rule
}

// history returns the events of the tenant, oldest first.
func (w *world) history(t *testing.T) []Event {
	t.Helper()
	events, err := w.History(t.Context(), dialect, tenant, memoryHistory)
	require.NoError(t, err)
	slices.Reverse(events)
	return events
}

// check checks that of each rule everything was told that happened, in the order in
// which it happened if what was told again is left out, and that what happened is
// pairs of firing and resolved.
func (w *world) check(t *testing.T) {
	t.Helper()
	var (
		seen        = map[eventKey]bool{}
		told, wants = map[Key][]Event{}, map[Key][]Event{}
	)
	for _, e := range w.taken() {
		if !seen[e.key()] {
			seen[e.key()] = true
			told[e.Key] = append(told[e.Key], e)
		}
	}
	for _, e := range w.history(t) {
		wants[e.Key] = append(wants[e.Key], e)
	}
	assert.Equal(t, wants, told)
	for _, events := range wants {
		checkEpisodes(t, events)
	}
}

// passed lets time pass.
func passed(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}
