package alert

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// oracle says when a rule fires by looking at all that has happened, every time.
type oracle struct {
	hold, rearm int
	seen        []observation
	firing      bool
}

type observation struct {
	at    int
	state byte // 't'rue, 'f'alse, 'e'rror, or 'x': the rule starts again
}

// next returns whether the rule fires now.
func (o *oracle) next(at int, state byte) bool {
	o.seen = append(o.seen, observation{at, state})
	switch {
	case state == 'e':
	case state == 'x':
		o.firing = false
	case o.firing:
		o.firing = o.lasted('f') < o.rearm || state == 't'
	default:
		o.firing = state == 't' && o.lasted('t') >= o.hold
	}
	if state == 'x' {
		o.seen = nil
	}
	return o.firing
}

// lasted returns for how long nothing but state and errors was seen.
func (o *oracle) lasted(state byte) int {
	now, since := o.seen[len(o.seen)-1].at, o.seen[len(o.seen)-1].at
	for i := len(o.seen) - 1; i >= 0 && (o.seen[i].state == state || o.seen[i].state == 'e'); i-- {
		if o.seen[i].state == state {
			since = o.seen[i].at
		}
	}
	return now - since
}

// FuzzNext holds Next against the oracle. Each byte of the script is a step: its
// low bits say what happens, the others how much later.
func FuzzNext(f *testing.F) {
	f.Add(uint8(0), uint8(0), []byte("\x01\x00\x01\x02\x03\x01"))
	f.Add(uint8(3), uint8(5), []byte("\x09\x11\x19\x11\x10\x08\x08\x08"))
	rng := rand.New(rand.NewPCG(1, 2))
	for range 60 {
		script := make([]byte, 100)
		for i := range script {
			script[i] = byte(rng.Uint32())
		}
		f.Add(uint8(rng.UintN(12)), uint8(rng.UintN(12)), script)
	}
	f.Fuzz(checkScript)
}

func checkScript(t *testing.T, hold, rearm uint8, script []byte) {
	rule := Rule{
		Tenant: "t", ID: "alert-1", Revision: 1, Enabled: true, Name: "n", Operator: Greater, Threshold: 1,
		For: time.Duration(hold) * time.Second, Rearm: time.Duration(rearm) * time.Second,
	}
	o := oracle{hold: int(hold), rearm: int(rearm)}
	var (
		s      State
		now    int
		events []Event
	)
	for i, b := range script {
		now += int(b >> 4)
		result, state := high, byte('t')
		switch b % 8 {
		case 0, 1, 2:
			result, state = low, 'f'
		case 3:
			result, state = noData, 'f'
		case 4:
			result, state = failed, 'e'
		case 5:
			if b>>4 == 0 { // now and then
				rule.Enabled, state = false, 'x'
			}
		}
		was := s
		var e *Event
		s, e = Next(&rule, s, result, at(now))
		rule.Enabled = true
		checkChange(t, &rule, was, s)
		require.Equal(t, o.next(now, state), s.Phase == Firing, "step %d at %d s", i, now)
		if e != nil {
			checkEvent(t, &s, e)
			events = append(events, *e)
		}
	}
	checkEpisodes(t, events)
}

// checkEpisodes checks that events of one rule are pairs of firing and resolved.
func checkEpisodes(t *testing.T, events []Event) {
	t.Helper()
	for i, e := range events {
		if i%2 == 0 {
			assert.Equal(t, Firing, e.Phase, "event %d", i)
			assert.Equal(t, e.Seq, e.Episode)
		} else {
			assert.Equal(t, Resolved, e.Phase, "event %d", i)
			assert.Equal(t, events[i-1].Seq, e.Episode)
			assert.Equal(t, events[i-1].At, e.StartsAt)
		}
		if i > 0 {
			assert.Greater(t, e.Seq, events[i-1].Seq)
			assert.False(t, e.At.Before(events[i-1].At))
		}
	}
}

// Whatever the clocks do, events are pairs and times are in order within a pair.
func TestNextWithBrokenClocks(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for range 50 {
		rule := Rule{
			Tenant: "t", ID: "alert-1", Revision: 1, Enabled: true, Name: "n", Operator: Greater, Threshold: 1,
			For: time.Duration(rng.IntN(3)) * time.Second, Rearm: time.Duration(rng.IntN(3)) * time.Second,
		}
		var (
			s     State
			phase = Resolved
		)
		for range 200 {
			was, e := s, (*Event)(nil)
			result := []Result{high, low}[rng.IntN(2)]
			s, e = Next(&rule, s, result, at(rng.IntN(400)))
			checkChange(t, &rule, was, s)
			if e != nil {
				checkEvent(t, &s, e)
				require.NotEqual(t, phase, e.Phase)
				phase = e.Phase
			}
		}
	}
}
