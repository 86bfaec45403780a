package benchkit

import (
	"context"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestProcess(t *testing.T) {
	before, err := CPU(os.Getpid())
	require.NoError(t, err)
	for start := time.Now(); time.Since(start) < 100*time.Millisecond; {
	}
	after, err := CPU(os.Getpid())
	require.NoError(t, err)
	assert.Greater(t, after, before)
	rss, err := PeakRSS(os.Getpid())
	require.NoError(t, err)
	assert.Greater(t, rss, uint64(1<<20))
	_, err = CPU(0)
	require.Error(t, err)
	assert.NotContains(t, Machine(), "unknown")
}

func TestChild(t *testing.T) {
	_, err := Child(os.Getpid())
	require.ErrorContains(t, err, "0 children")
	cmd := exec.Command("sleep", "30")
	require.NoError(t, cmd.Start())
	pid, err := Child(os.Getpid())
	require.NoError(t, err)
	assert.Equal(t, cmd.Process.Pid, pid)
	require.NoError(t, cmd.Process.Kill())
	require.Error(t, cmd.Wait())
}

func TestFreePorts(t *testing.T) {
	ports, err := FreePorts(3)
	require.NoError(t, err)
	assert.NotEqual(t, ports[0], ports[1])
	assert.NotContains(t, ports, 0)
}

func TestUsage(t *testing.T) {
	before, err := UsageOf(os.Getpid(), os.Getpid())
	require.NoError(t, err)
	assert.Equal(t, before.Collector+before.ClickHouse, before.Total())
	assert.Equal(t, Usage{1, 2}, Usage{4, 6}.Minus(Usage{3, 4}))
	assert.Equal(t, Usage{4, 6}, Usage{1, 2}.Plus(Usage{3, 4}))
	_, err = UsageOf(os.Getpid(), 0)
	require.Error(t, err)
}

func TestPercentile(t *testing.T) {
	sorted := []time.Duration{1, 2, 3, 4}
	assert.EqualValues(t, 3, Percentile(sorted, 50))
	assert.EqualValues(t, 4, Percentile(sorted, 100))
	assert.InDelta(t, 1.5, MS(1500*time.Microsecond), 1e-9)
}

func TestSleep(t *testing.T) {
	require.NoError(t, Sleep(t.Context(), time.Nanosecond))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, Sleep(ctx, time.Hour), context.Canceled)
}
