package ebpfprofilingreceiver

import (
	"context"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/receiver/receivertest"

	"github.com/aperture-collector/aperture-collector/internal/ebpftest"
	"github.com/aperture-collector/aperture-collector/receiver/ebpfprofilingreceiver/internal/metadata"
)

// openFiles returns how many files this process has open, and how many of them
// are of BPF: maps, programs and links live as long as they are open.
func openFiles(t *testing.T) (all int, ofBPF []string) {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	require.NoError(t, err)
	for _, e := range entries {
		to, err := os.Readlink("/proc/self/fd/" + e.Name())
		if err != nil {
			continue // that of the directory
		}
		all++
		if strings.Contains(to, "bpf") || strings.Contains(to, "perf_event") {
			ofBPF = append(ofBPF, to)
		}
	}
	return all, ofBPF
}

// TestStartAndStop leaves nothing behind.
func TestStartAndStop(t *testing.T) {
	ebpftest.Require(t)
	once := func() {
		r, err := newReceiver(testConfig(func(c *Config) { c.Profiles = kinds }), receivertest.NewNopSettings(metadata.Type), new(consumertest.ProfilesSink))
		require.NoError(t, err)
		require.NoError(t, r.Start(context.Background(), componenttest.NewNopHost()))
		_, ofBPF := openFiles(t)
		require.Greater(t, len(ofBPF), 10)
		ctx, cancel := context.WithTimeout(context.Background(), ebpftest.Patience)
		defer cancel()
		require.NoError(t, r.Shutdown(ctx))
		require.NoError(t, r.Shutdown(ctx), "once more")
	}
	once() // what is made once stays, and what other tests left
	goroutines := runtime.NumGoroutine()
	files, had := openFiles(t)
	for range 5 {
		once()
	}
	after, ofBPF := openFiles(t)
	assert.LessOrEqual(t, len(ofBPF), len(had), "%v", ofBPF)
	assert.LessOrEqual(t, after, files)
	for end := time.Now().Add(ebpftest.Patience); runtime.NumGoroutine() > goroutines && time.Now().Before(end); {
		time.Sleep(10 * time.Millisecond)
	}
	assert.LessOrEqual(t, runtime.NumGoroutine(), goroutines)
}
