package ebpfprofilingreceiver

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/pprofile"
	"go.opentelemetry.io/collector/receiver/receivertest"
	"go.opentelemetry.io/collector/receiver/xreceiver"

	"github.com/aperture-collector/aperture-collector/internal/ebpftest"
	"github.com/aperture-collector/aperture-collector/receiver/ebpfprofilingreceiver/internal/metadata"
)

// stuckSink takes nothing until its context ends.
type stuckSink struct{ consumertest.Consumer }

func (stuckSink) ConsumeProfiles(ctx context.Context, _ pprofile.Profiles) error {
	<-ctx.Done()
	return context.Cause(ctx)
}

// TestShutdownOfAStuckPipeline ends although the pipeline does not take the last
// batch.
func TestShutdownOfAStuckPipeline(t *testing.T) {
	ebpftest.Require(t)
	cfg := testConfig()
	r, err := NewFactory().(xreceiver.Factory).CreateProfiles(t.Context(), receivertest.NewNopSettings(metadata.Type), cfg, stuckSink{consumertest.NewNop()})
	require.NoError(t, err)
	require.NoError(t, r.Start(t.Context(), componenttest.NewNopHost()))
	ebpftest.StartBusy(t, 1)
	time.Sleep(3 * cfg.Interval)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
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

// TestZSummary is the last test and prints what was tested for real.
func TestZSummary(*testing.T) { fmt.Println(ebpftest.Summary()) }
