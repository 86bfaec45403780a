package alerttest

import (
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/internal/alert"
)

// writers is how many goroutines do the same thing at once.
const writers = 16

// start is the time of the first event in the tests. It is recent, so that a
// store which drops what is old keeps it, and a whole millisecond, which is the
// resolution that a store must have.
var start = time.Now().Add(-time.Hour).UTC().Truncate(time.Millisecond)

// TestStore checks every sentence of the comments of [alert.Store]. open is called
// twice in each test and returns two replicas over the same data; it looks after
// closing them. Each test uses a dialect of its own, so the data may have been
// used before.
func TestStore(t *testing.T, open func() alert.Store) {
	t.Helper()
	for name, test := range map[string]func(t *testing.T, f *fixture){
		"new ids are unique":                      newIDs,
		"rules come back as they were put":        rulesComeBack,
		"rules are in the order of creation":      rulesInOrder,
		"one of many puts wins":                   putOnce,
		"deleted rules are gone":                  deletedRules,
		"dialects do not see each other":          dialects,
		"states come back as they were stored":    statesComeBack,
		"one of many transitions wins":            transitionOnce,
		"a lost transition leaves no event":       transitionWithEvent,
		"a deleted rule that fires has a state":   deletedAndFiring,
		"history is newest first and bounded":     history,
		"events come back as they were stored":    eventsComeBack,
		"each receiver has its own deliveries":    deliveries,
		"undelivered is oldest first and bounded": undelivered,
		"one of many gets the lease":              leaseOnce,
		"the lease is taken over after its ttl":   leaseTakeover,
		"what is published is replaced and ages":  published,
		"engines fire once":                       enginesFireOnce,
	} {
		t.Run(name, func(t *testing.T) {
			test(t, &fixture{
				dialect:  "test-" + strings.ToLower(rand.Text()[:12]),
				replicas: [2]alert.Store{open(), open()},
			})
		})
	}
}

// fixture is what a test works on.
type fixture struct {
	dialect  string
	replicas [2]alert.Store
}

// rule returns the first revision of a rule with something in each field.
func (f *fixture) rule(tenant, id string) *alert.Rule {
	return &alert.Rule{
		Dialect: f.dialect, Tenant: tenant, ID: id, Revision: 1,
		Name: "it's \"a\" \\ rule;\n\t<b>\u00fc\u4e16</b>", Severity: "critical", Enabled: true,
		CreatedAt: start, Operator: alert.GreaterOrEqual, Threshold: 0.1,
		For: 90 * time.Second, Rearm: 1500 * time.Millisecond,
		Labels:      map[string]string{"service.name": "a=b,c", "empty": ""},
		Annotations: map[string]string{"runbook": "https://example.com/?a=1&b=2"},
		Spec:        []byte(`{"metric":"function_share","function":"a::b<c>","threshold":1}`),
	}
}

// put stores a rule by the first replica and returns it.
func (f *fixture) put(t *testing.T, r *alert.Rule) *alert.Rule {
	t.Helper()
	require.NoError(t, f.replicas[0].PutRule(t.Context(), r))
	return r
}

// firing returns the state and the event of a rule that fires at a time.
func firing(r *alert.Rule, seq uint64, at time.Time) (*alert.State, *alert.Event) {
	s := &alert.State{
		Key: r.Key(), Seq: seq, Phase: alert.Firing, Since: at, FiredAt: at,
		Revision: r.Revision, Episode: seq,
	}
	return s, event(r, s, at)
}

// resolved returns the state and the event that follow on s at a time.
func resolved(r *alert.Rule, s *alert.State, at time.Time) (*alert.State, *alert.Event) {
	n := *s
	n.Seq, n.Phase, n.Since = s.Seq+1, alert.Resolved, at
	return &n, event(r, &n, at)
}

// event returns the event by which a rule came into a state.
func event(r *alert.Rule, s *alert.State, at time.Time) *alert.Event {
	return &alert.Event{
		Key: r.Key(), Seq: s.Seq, Phase: s.Phase, Episode: s.Episode,
		RuleName: r.Name, Severity: r.Severity, Operator: r.Operator, Threshold: r.Threshold,
		Value: 0.3, Metric: "function_share", Message: "rule: it's \"bad\"\n(\u00fc)",
		At: at, StartsAt: s.FiredAt, Labels: r.Labels, Annotations: r.Annotations,
		Link: "https://example.com/api/export/svg?a=1&b=2",
	}
}

// race calls do from many goroutines over both replicas at once. Exactly one must
// succeed, the others must get ErrConflict.
func (f *fixture) race(t *testing.T, do func(s alert.Store, i int) error) (winner int) {
	t.Helper()
	errs := make([]error, writers)
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() { errs[i] = do(f.replicas[i%2], i) })
	}
	wg.Wait()
	winner = -1
	for i, err := range errs {
		if err != nil {
			require.ErrorIs(t, err, alert.ErrConflict)
			continue
		}
		require.Equal(t, -1, winner, "two writers succeeded")
		winner = i
	}
	require.NotEqual(t, -1, winner, "no writer succeeded")
	return winner
}

// same compares what was stored with what came back. Times are compared as
// instants, and empty maps with nil ones.
func same[T any](t *testing.T, want, got T) {
	t.Helper()
	assert.Equal(t, normal(want), normal(got))
}

// normal prints a value so that what need not survive is left out.
func normal(v any) string {
	switch v := v.(type) {
	case alert.Rule:
		return fmt.Sprintf("%q %q %q %d %v %q %q %v %s %q %v %v %v %q %q %s",
			v.Dialect, v.Tenant, v.ID, v.Revision, v.Deleted, v.Name, v.Severity, v.Enabled, instant(v.CreatedAt),
			v.Operator, v.Threshold, v.For, v.Rearm, v.Labels, v.Annotations, v.Spec)
	case alert.State:
		fired := "not firing"
		if v.Fired != nil {
			fired = normal(*v.Fired)
		}
		return fmt.Sprintf("%q %d %q %s %s %d %d (%s)",
			v.Key, v.Seq, v.Phase, instant(v.Since), instant(v.FiredAt), v.Revision, v.Episode, fired)
	case alert.Event:
		return fmt.Sprintf("%q %d %q %d %q %q %q %v %v %q %q %s %s %q %q %q",
			v.Key, v.Seq, v.Phase, v.Episode, v.RuleName, v.Severity, v.Operator, v.Threshold, v.Value,
			v.Message, v.Metric, instant(v.At), instant(v.StartsAt), v.Labels, v.Annotations, v.Link)
	}
	panic(errors.New("unknown type"))
}

func instant(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return t.UTC().Format(time.RFC3339Nano)
}
