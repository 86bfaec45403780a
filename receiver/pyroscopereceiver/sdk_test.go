package pyroscopereceiver

import (
	"context"
	"runtime"
	"runtime/pprof"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/grafana/pyroscope-go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// sdkLog keeps what the SDK complains about.
type sdkLog struct {
	mu     sync.Mutex
	errors []string
}

func (l *sdkLog) Infof(string, ...any)  {}
func (l *sdkLog) Debugf(string, ...any) {}
func (l *sdkLog) Errorf(format string, _ ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.errors = append(l.errors, format)
}

// The SDK for Go pushes all that it can profile.
func TestGoSDK(t *testing.T) {
	f := start(t, options{})
	runtime.SetMutexProfileFraction(1)
	runtime.SetBlockProfileRate(1)
	defer runtime.SetMutexProfileFraction(0)
	defer runtime.SetBlockProfileRate(0)
	log := new(sdkLog)
	profiler, err := pyroscope.Start(pyroscope.Config{
		ApplicationName: "sdk.app", ServerAddress: f.base, Logger: log, UploadRate: 500 * time.Millisecond,
		Tags: map[string]string{"env": "test"},
		ProfileTypes: []pyroscope.ProfileType{
			pyroscope.ProfileCPU, pyroscope.ProfileAllocObjects, pyroscope.ProfileAllocSpace, pyroscope.ProfileInuseObjects, pyroscope.ProfileInuseSpace,
			pyroscope.ProfileGoroutines, pyroscope.ProfileMutexCount, pyroscope.ProfileMutexDuration, pyroscope.ProfileBlockCount, pyroscope.ProfileBlockDuration,
		},
	})
	require.NoError(t, err)
	missing := func() (missing []string) {
		got := f.sums(t)
		for _, id := range []string{
			"process_cpu:cpu:nanoseconds:cpu:nanoseconds", "process_cpu:samples:count:cpu:nanoseconds",
			"memory:alloc_objects:count:space:bytes", "memory:alloc_space:bytes:space:bytes",
			"memory:inuse_objects:count:space:bytes", "memory:inuse_space:bytes:space:bytes",
			"goroutines:goroutine:count:goroutine:count", "mutex:contentions:count:contentions:count", "mutex:delay:nanoseconds:contentions:count",
			"block:contentions:count:contentions:count", "block:delay:nanoseconds:contentions:count",
		} {
			found := false
			for k := range got {
				found = found || strings.HasPrefix(k, "anonymous "+id+" {env=test,") && strings.Contains(k, "pyroscope_spy=gospy,") && strings.Contains(k, "service_name=sdk.app}")
			}
			if !found {
				missing = append(missing, id)
			}
		}
		return missing
	}
	pprof.Do(context.Background(), pprof.Labels("part", "work"), func(context.Context) {
		for begin := time.Now(); len(missing()) > 0 && time.Since(begin) < 20*time.Second; {
			work()
		}
	})
	require.NoError(t, profiler.Stop())
	if !assert.Empty(t, missing()) {
		for k := range f.sums(t) {
			t.Log(k)
		}
	}
	assert.Empty(t, log.errors)
	worked := int64(0)
	for k, v := range f.sums(t) {
		if strings.Contains(k, "part=work,") && strings.Contains(k, "pyroscopereceiver.work") && strings.Contains(k, "cpu:nanoseconds:cpu") {
			worked += v
		}
	}
	assert.Positive(t, worked)
}

// kept is what the work allocates.
var kept []byte

// work takes CPU time, allocates, and fights for a lock.
func work() {
	var mu sync.Mutex
	var wait sync.WaitGroup
	for range 4 {
		wait.Go(func() {
			for range 20 {
				mu.Lock()
				n := 0
				for i := range 200_000 {
					n += i * i
				}
				kept = make([]byte, 1<<16+n%2)
				mu.Unlock()
			}
		})
	}
	wait.Wait()
}
