package benchkit

import (
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
