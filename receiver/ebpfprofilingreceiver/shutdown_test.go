package ebpfprofilingreceiver

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/pprofile"
	"go.opentelemetry.io/collector/receiver/receivertest"
	"go.opentelemetry.io/collector/receiver/xreceiver"

	"github.com/aperture-collector/aperture-collector/bpf"
	"github.com/aperture-collector/aperture-collector/internal/ebpftest"
	"github.com/aperture-collector/aperture-collector/internal/overhead"
	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/receiver/ebpfprofilingreceiver/internal/metadata"
)

// stuckSink takes nothing until its context ends.
type stuckSink struct {
	consumertest.Consumer
	entered chan struct{} // closed when it is given the first batch
	once    *sync.Once
}

func (s stuckSink) ConsumeProfiles(ctx context.Context, _ pprofile.Profiles) error {
	s.once.Do(func() { close(s.entered) })
	<-ctx.Done()
	return context.Cause(ctx)
}

// TestShutdownOfAStuckPipeline ends although the pipeline does not take the last
// batch.
func TestShutdownOfAStuckPipeline(t *testing.T) {
	ebpftest.Require(t)
	cfg := testConfig()
	entered := make(chan struct{})
	sink := stuckSink{consumertest.NewNop(), entered, new(sync.Once)}
	r, err := NewFactory().(xreceiver.Factory).CreateProfiles(t.Context(), receivertest.NewNopSettings(metadata.Type), cfg, sink)
	require.NoError(t, err)
	require.NoError(t, r.Start(t.Context(), componenttest.NewNopHost()))
	ebpftest.StartBusy(t, 1)
	<-entered
	// The last samples are collected by then, even on a slow machine.
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	require.NoError(t, r.Shutdown(ctx))
}

// TestShutdownOfALoopThatHangs gives up, and frees nothing of what the loop uses.
func TestShutdownOfALoopThatHangs(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	r := &ebpfReceiver{
		profilers: &profilers{},                                                 // to close it would panic
		cancel:    cancel, stop: make(chan struct{}), done: make(chan struct{}), // which nobody closes
	}
	over, end := context.WithCancel(t.Context())
	end()
	err := r.Shutdown(over)
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorContains(t, err, "collect the last samples")
	require.Error(t, ctx.Err(), "the loop is told to end")
	require.NoError(t, r.Shutdown(t.Context()), "it is tried once")
}

// TestShutdownOfABusyLoop ends sampling although the loop is busy with what was sampled
// before, and what the loop does afterwards does not begin it again.
func TestShutdownOfABusyLoop(t *testing.T) {
	ebpftest.Require(t)
	ebpftest.StartBusy(t, 1)
	s := profileHost(t, testConfig())
	s.settle(t)
	r := s.receiver
	p := r.profilers
	sampled := func() uint64 {
		stats, err := p.running[profile.KindCPU].Stats()
		require.NoError(t, err)
		return stats[bpf.Samples]
	}
	p.table.mu.Lock() // the loop needs it to emit
	before := sampled()
	require.Eventually(t, func() bool { return sampled() > before }, ebpftest.Patience, time.Millisecond)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	err := r.Shutdown(ctx)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.ErrorContains(t, err, "collect the last samples")
	before = sampled()
	time.Sleep(100 * time.Millisecond) // 50 samples of each processor that is busy
	require.Equal(t, before, sampled())

	p.table.mu.Unlock()
	<-r.done
	require.NoError(t, p.follow())
	require.NoError(t, r.budget.apply(overhead.Rates{CPUFrequency: 97}, nil))
	require.Equal(t, before, sampled())
	r.out.finish()
	<-r.out.done
	require.NoError(t, p.close())
}

// TestShutdownHasTheTimeOfItsContext waits longer than it does without a deadline.
func TestShutdownHasTheTimeOfItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, tt := range []struct{ limit, want time.Duration }{
			{0, stopTimeout + stopGrace}, {3 * stopTimeout, 3*stopTimeout + stopGrace}, {time.Second, time.Second + stopGrace},
		} {
			ctx, cancel := context.Background(), context.CancelFunc(func() {})
			if tt.limit > 0 {
				ctx, cancel = context.WithTimeout(context.Background(), tt.limit)
			}
			r := &ebpfReceiver{profilers: &profilers{}, cancel: func() {}, stop: make(chan struct{}), done: make(chan struct{})}
			began := time.Now()
			require.ErrorIs(t, r.Shutdown(ctx), context.DeadlineExceeded)
			require.Equal(t, tt.want, time.Since(began))
			cancel()
		}
	})
}

// TestZSummary is the last test and prints what was tested for real.
func TestZSummary(*testing.T) { fmt.Println(ebpftest.Summary()) }
