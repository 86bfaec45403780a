package chaos

import (
	"maps"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/internal/aperturewire"
	"github.com/aperture-collector/aperture-collector/internal/profile"
)

func all(string) bool { return true }

// Every kind of loss and doubling of whole requests is told.
func TestPresent(t *testing.T) {
	add := func(l *ledger, agent string, o outcome) {
		r := &request{batchKey: batchKey{agent, 1}, events: 3, sums: sums{key{service: agent}: {count: 3}}}
		l.sent(r)
		l.answered(r, o)
	}
	l := newLedger()
	add(l, "acknowledged", acknowledged)
	add(l, "found", unanswered)
	add(l, "lost", unanswered)
	add(l, "refused", refused)
	exact := map[batchKey]storedBatch{{"acknowledged", 1}: {1, 3}, {"found", 1}: {1, 3}}
	var d differences
	want, n := present(l, exact, all, &d)
	assert.Empty(t, d)
	assert.Equal(t, Counts{Acknowledged: 1, Refused: 1, Unanswered: 2, Found: 1}, n)
	assert.Equal(t, sums{{service: "acknowledged"}: {count: 3}, {service: "found"}: {count: 3}}, want)

	for name, tc := range map[string]struct {
		change func(map[batchKey]storedBatch)
		want   string
	}{
		"lost":    {func(m map[batchKey]storedBatch) { delete(m, batchKey{"acknowledged", 1}) }, "lost: request 1 of acknowledged"},
		"double":  {func(m map[batchKey]storedBatch) { m[batchKey{"found", 1}] = storedBatch{2, 6} }, "double: request 1 of found is in batches 2 times"},
		"refused": {func(m map[batchKey]storedBatch) { m[batchKey{"refused", 1}] = storedBatch{1, 3} }, "was refused and is in batches"},
		"events":  {func(m map[batchKey]storedBatch) { m[batchKey{"found", 1}] = storedBatch{1, 4} }, "has 4 events in batches; sent 3"},
		"unknown": {func(m map[batchKey]storedBatch) { m[batchKey{"found", 2}] = storedBatch{1, 3} }, "never sent"},
	} {
		t.Run(name, func(t *testing.T) {
			stored := maps.Clone(exact)
			tc.change(stored)
			var d differences
			present(l, stored, all, &d)
			require.Len(t, d, 1)
			assert.Contains(t, d[0], tc.want)
		})
	}
}

func TestCompare(t *testing.T) {
	want := sums{{service: "a"}: {1, 2, 3}, {service: "b"}: {4, 5, 6}}
	var d differences
	compare("t", maps.Clone(want), want, &d)
	assert.Empty(t, d)
	for _, got := range []sums{
		{{service: "a"}: {1, 2, 3}},
		{{service: "a"}: {1, 2, 3}, {service: "b"}: {8, 10, 12}},
		{{service: "a"}: {1, 2, 3}, {service: "b"}: {4, 5, 7}},
		{{service: "a"}: {1, 2, 3}, {service: "b"}: {4, 5, 6}, {service: "c"}: {}},
	} {
		var d differences
		compare("t", got, want, &d)
		assert.Len(t, d, 1)
	}
}

// A payload holds what its request says.
func TestPushPayload(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for range 50 {
		payload, r := pushPayload(rng, batchKey{"agent", 7}, 99)
		m, err := aperturewire.Decode(payload)
		require.NoError(t, err)
		assert.EqualValues(t, 7, m.Sequence)
		assert.EqualValues(t, r.events, m.Len())
		got := make(sums)
		events := m.Events()
		for e := new(aperturewire.Event); events.Next(e); {
			switch e.Kind {
			case aperturewire.KindCPU:
				got.add(key{"agent", profile.KindCPU, 0, noSyscall}, sum{1, 1, 0})
			case aperturewire.KindLock:
				got.add(key{"agent", profile.KindLock, e.LockAddress, noSyscall}, sum{1, int64(e.WaitTime), 1})
			case aperturewire.KindSyscall:
				got.add(key{"agent", profile.KindSyscall, 0, int64(e.SyscallNumber)}, sum{1, int64(e.Duration), 1})
			}
		}
		assert.Equal(t, r.sums, got)
		assert.EqualValues(t, 1, got[key{"agent", profile.KindLock, 99, noSyscall}].count)
	}
}
