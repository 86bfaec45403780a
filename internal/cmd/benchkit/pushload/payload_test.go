package pushload

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/aperture-collector/aperture-collector/internal/aperturewire"
	"github.com/aperture-collector/aperture-collector/internal/corpus"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// What a template says of itself is what its payload holds, whenever it is sent.
func TestTemplate(t *testing.T) {
	c, err := corpus.New(corpus.Config{Services: 1, Pods: 1, Tail: 100})
	require.NoError(t, err)
	sampler := c.NewSampler(0, 12, maxDepth)
	now := time.Unix(1_800_000_000, 0)
	for _, tc := range []struct {
		batch   batch
		symbols bool
	}{
		{batch{cpu: 350, locks: 50, syscalls: 100}, true},
		{batch{cpu: 350, locks: 50, syscalls: 100}, false},
		{batch{syscalls: 1000}, true},
	} {
		tmpl := newTemplate(rand.New(rand.NewPCG(1, 1)), sampler, tc.batch, tc.symbols)
		var buffer []byte
		for _, sequence := range []uint64{7, 8} {
			buffer = tmpl.fill(buffer, sequence, now)
			m, err := aperturewire.Decode(buffer)
			require.NoError(t, err)
			assert.Equal(t, sequence, m.Sequence)
			got := NewExpect()
			last := uint64(0)
			events := m.Events()
			for e := new(aperturewire.Event); events.Next(e); {
				assert.Greater(t, e.Timestamp, last)
				last = e.Timestamp
				switch e.Kind {
				case aperturewire.KindCPU:
					got.CPU++
				case aperturewire.KindLock:
					got.Locks++
					got.LockWait += e.WaitTime
				case aperturewire.KindSyscall:
					got.Syscalls++
					got.SyscallTime[e.SyscallNumber] += e.Duration
					if e.ReturnValue < 0 {
						got.SyscallErrors[e.SyscallNumber]++
					}
				}
			}
			assert.Less(t, last, uint64(now.UnixNano()))
			assert.Greater(t, last, uint64(now.Add(-Spread).UnixNano()))
			assert.Equal(t, tmpl.expect, got)
			assert.Equal(t, tc.batch, batch{cpu: int(got.CPU), locks: int(got.Locks), syscalls: int(got.Syscalls)})
		}
	}
}

func TestChosenMixes(t *testing.T) {
	chosen, err := Mixes("cpu,agents", 500)
	require.NoError(t, err)
	require.Len(t, chosen, 2)
	assert.Equal(t, []batch{{cpu: 350, locks: 50, syscalls: 100}}, chosen[0].batches)
	assert.Equal(t, []batch{{cpu: 1980}, {locks: 1980}, {syscalls: 23_640}}, chosen[1].batches)
	_, err = Mixes("cpu,none", 500)
	assert.ErrorContains(t, err, `"none"`)
}
