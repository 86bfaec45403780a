package profilebufferprocessor

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/pprofile"
	"go.opentelemetry.io/collector/processor"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/metric/metricdata/metricdatatest"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
	"github.com/aperture-collector/aperture-collector/processor/profilebufferprocessor/internal/metadata"
	"github.com/aperture-collector/aperture-collector/processor/profilebufferprocessor/internal/metadatatest"
)

// TestPushesShareAWindow expects that pushes that arrive together are answered
// together, summed, and lose nothing.
func TestPushesShareAWindow(t *testing.T) {
	next := &gate{}
	p, tel := started(t, next, func(c *Config) { c.Window = 100 * time.Millisecond })
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			resource := map[string]any{"service.name": "api", profile.AttrAgentID: fmt.Sprint("agent", i%2), profile.AttrBatchSequence: i, profile.AttrBatchEventCount: 3, profile.AttrBatchReceivedAt: i + 1}
			assert.NoError(t, p.ConsumeProfiles(t.Context(), cpu(3, "main", resource)))
		})
	}
	wg.Wait()
	assert.EqualValues(t, 150, next.events(t))
	windows := next.groups(t)
	assert.Less(t, len(windows), 50)
	batches, ids := 0, map[string]bool{}
	for _, g := range windows {
		batches += len(g.Batches)
		assert.LessOrEqual(t, len(g.Groups), 2)
		assert.Len(t, g.WindowID, 32)
		assert.False(t, ids[g.WindowID])
		ids[g.WindowID] = true
	}
	assert.Equal(t, 50, batches)
	metadatatest.AssertEqualProcessorProfileBufferEvents(t, tel, []metricdata.DataPoint[int64]{{Value: 150}}, metricdatatest.IgnoreTimestamp())
	metadatatest.AssertEqualProcessorProfileBufferBatches(t, tel, []metricdata.DataPoint[int64]{{Value: 50}}, metricdatatest.IgnoreTimestamp())
	metadatatest.AssertEqualProcessorProfileBufferPendingSize(t, tel, []metricdata.DataPoint[int64]{{Value: 0}}, metricdatatest.IgnoreTimestamp())
}

// TestRefusalReachesEveryPush expects every push of a window to get the next
// component's answer, and nothing of it in the live view.
func TestRefusalReachesEveryPush(t *testing.T) {
	next := &gate{}
	p, _ := started(t, next, nil)
	for _, want := range []error{errors.New("try again"), consumererror.NewPermanent(errors.New("never"))} {
		next.refuse(want)
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() { assert.ErrorIs(t, p.ConsumeProfiles(t.Context(), cpu(1, "main", nil)), want) })
		}
		wg.Wait()
	}
	assert.Empty(t, view{p}.RecentBatches(profile.DefaultTenant, nil, 100))
	next.refuse(nil)
	require.NoError(t, p.ConsumeProfiles(t.Context(), cpu(1, "main", nil)))
	assert.EqualValues(t, 1, next.events(t))
}

// TestFullBufferRefuses fills the buffer while the next component hangs: it must
// refuse with a retryable status, report pressure, and lose nothing it took.
func TestFullBufferRefuses(t *testing.T) {
	next := &gate{hold: make(chan struct{}), got: make(chan struct{}, 1000)}
	p, tel := started(t, next, func(c *Config) { c.MaxWindowBytes, c.MaxPendingBytes = 8<<10, 64<<10 })
	var wg sync.WaitGroup
	var mu sync.Mutex
	taken, refused := 0, 0
	push := func(i int) {
		err := p.ConsumeProfiles(t.Context(), cpu(1, fmt.Sprint("f", i), nil))
		mu.Lock()
		defer mu.Unlock()
		if err == nil {
			taken++
			return
		}
		refused++
		assert.False(t, consumererror.IsPermanent(err))
		s, ok := status.FromError(err)
		require.True(t, ok)
		assert.Equal(t, codes.ResourceExhausted, s.Code())
		require.Len(t, s.Details(), 1)
		assert.Positive(t, s.Details()[0].(*errdetails.RetryInfo).RetryDelay.AsDuration())
	}
	for i := range 200 {
		wg.Go(func() { push(i) })
	}
	require.Eventually(t, func() bool {
		mu.Lock()
		defer mu.Unlock()
		return refused > 0 && view{p}.BufferStats().QueueUtilization > 0.8
	}, 10*time.Second, time.Millisecond)
	assert.LessOrEqual(t, p.pending.Load(), int64(128<<10))
	close(next.hold)
	wg.Wait()
	assert.Equal(t, 200, taken+refused)
	assert.EqualValues(t, taken, next.events(t))
	assert.Zero(t, p.pending.Load())
	assert.Zero(t, view{p}.BufferStats().QueueUtilization)
	metadatatest.AssertEqualProcessorProfileBufferRefused(t, tel, []metricdata.DataPoint[int64]{
		{Value: int64(refused), Attributes: attribute.NewSet(attribute.String("reason", "full"))},
	}, metricdatatest.IgnoreTimestamp())
}

func TestPushLargerThanTheBufferIsRefusedForGood(t *testing.T) {
	p, _ := started(t, &gate{}, func(c *Config) { c.MaxWindowBytes, c.MaxPendingBytes = 1<<10, 1<<10 })
	err := p.ConsumeProfiles(t.Context(), cpu(1, strings.Repeat("x", 4096), nil))
	require.ErrorContains(t, err, "`max_pending_bytes` is 1024")
	assert.True(t, consumererror.IsPermanent(err))
}

func TestWaitEndsWithTheClient(t *testing.T) {
	next := &gate{hold: make(chan struct{}), got: make(chan struct{}, 10)}
	p, _ := started(t, next, nil)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- p.ConsumeProfiles(ctx, cpu(1, "main", nil)) }()
	<-next.got
	cancel()
	require.ErrorIs(t, <-done, context.Canceled)
	close(next.hold)
}

// TestShutdownHandsOnWhatWasTaken stops with an open window.
func TestShutdownHandsOnWhatWasTaken(t *testing.T) {
	next := &gate{}
	p, _ := started(t, next, func(c *Config) { c.Window = time.Minute })
	done := make(chan error)
	go func() { done <- p.ConsumeProfiles(t.Context(), cpu(2, "main", nil)) }()
	require.Eventually(t, func() bool { p.mu.Lock(); defer p.mu.Unlock(); return p.open != nil }, 10*time.Second, time.Millisecond)
	require.NoError(t, p.Shutdown(t.Context()))
	require.NoError(t, <-done)
	assert.EqualValues(t, 2, next.events(t))
	err := p.ConsumeProfiles(t.Context(), cpu(2, "main", nil))
	require.Error(t, err)
	assert.False(t, consumererror.IsPermanent(err))
	assert.Equal(t, codes.Unavailable, status.Code(err))
}

// TestShutdownInTime gives up on a next component that hangs.
func TestShutdownInTime(t *testing.T) {
	next := &gate{hold: make(chan struct{}), got: make(chan struct{}, 10)}
	p, _ := started(t, next, nil)
	done := make(chan error)
	go func() { done <- p.ConsumeProfiles(t.Context(), cpu(2, "main", nil)) }()
	<-next.got
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, p.Shutdown(ctx), context.Canceled)
	require.ErrorIs(t, <-done, context.Canceled)

	p, _ = started(t, next, func(c *Config) { c.ShutdownTimeout = time.Millisecond })
	go func() { done <- p.ConsumeProfiles(t.Context(), cpu(2, "main", nil)) }()
	<-next.got
	require.ErrorIs(t, p.Shutdown(t.Context()), errSlow)
	require.ErrorIs(t, <-done, context.Canceled)
}

func TestTenants(t *testing.T) {
	next := &gate{}
	p, _ := started(t, next, nil)
	attr := map[string]any{profile.AttrTenant: "from-attribute"}
	require.NoError(t, p.ConsumeProfiles(tenantContext(t.Context(), "from-header"), cpu(1, "main", attr)))
	require.NoError(t, p.ConsumeProfiles(t.Context(), cpu(1, "main", attr)))
	require.NoError(t, p.ConsumeProfiles(t.Context(), cpu(1, "main", nil)))
	var tenants []string
	for _, g := range next.groups(t) {
		tenants = append(tenants, g.Groups[0].Series.Tenant)
		require.Len(t, g.Batches, 1)
		assert.Equal(t, g.Groups[0].Series.Tenant, g.Batches[0].Tenant)
	}
	assert.Equal(t, []string{"from-header", "from-attribute", profile.DefaultTenant}, tenants)
	for _, bad := range []string{"a/b", "..", strings.Repeat("a", 151), "ä"} {
		err := p.ConsumeProfiles(tenantContext(t.Context(), bad), cpu(1, "main", nil))
		require.ErrorContains(t, err, "tenant")
		assert.True(t, consumererror.IsPermanent(err), bad)
		err = p.ConsumeProfiles(t.Context(), cpu(1, "main", map[string]any{profile.AttrTenant: bad}))
		assert.True(t, consumererror.IsPermanent(err), bad)
	}
	err := p.ConsumeProfiles(tenantContext(t.Context(), "a", "b"), cpu(1, "main", nil))
	require.ErrorContains(t, err, "`x-scope-orgid` has 2 values")
	assert.True(t, consumererror.IsPermanent(err))
}

func TestInvalidPushIsRefusedForGood(t *testing.T) {
	next := &gate{}
	p, _ := started(t, next, nil)
	bad := cpu(1, "main", nil)
	bad.ResourceProfiles().At(0).ScopeProfiles().At(0).Profiles().At(0).Samples().At(0).SetStackIndex(-1)
	err := p.ConsumeProfiles(t.Context(), bad)
	require.ErrorIs(t, err, profile.ErrInvalid)
	assert.True(t, consumererror.IsPermanent(err))
	assert.Empty(t, next.AllProfiles())

	// As many labels as are allowed also pass a second buffer, which sees ours, too.
	many := map[string]any{}
	for i := range createDefaultConfig().(*Config).Limits.MaxLabels {
		many[fmt.Sprint("label", i)] = "x"
	}
	require.NoError(t, p.ConsumeProfiles(t.Context(), cpu(1, "main", many)))
	require.NoError(t, p.ConsumeProfiles(t.Context(), next.AllProfiles()[0]))
	many["one"] = "more"
	err = p.ConsumeProfiles(t.Context(), cpu(1, "main", many))
	require.ErrorContains(t, err, "257 labels; `limits::max_labels` is 256")
	assert.True(t, consumererror.IsPermanent(err))
}

// TestSourcesWithoutBatches expects OTLP sources to be listed like agents.
func TestSourcesWithoutBatches(t *testing.T) {
	next := &gate{}
	p, _ := started(t, next, nil)
	for _, resource := range []map[string]any{
		{"host.name": "host-1", "service.name": "api"},
		{"host.name": "host-1", "service.name": "db"},
		{"service.name": "api"},
		nil,
	} {
		require.NoError(t, p.ConsumeProfiles(t.Context(), cpu(2, "main", resource)))
	}
	got := view{p}.RecentBatches(profile.DefaultTenant, nil, 10)
	require.Len(t, got, 4)
	for i, want := range []struct {
		agent string
		seq   uint64
	}{{"host-1", 1}, {"host-1", 2}, {"api", 1}, {"unknown", 1}} {
		assert.Equal(t, want.agent, got[i].AgentID)
		assert.Equal(t, want.seq, got[i].Sequence)
		assert.EqualValues(t, 2, got[i].EventCount)
		assert.Positive(t, got[i].ReceivedAt)
	}
	for i, g := range next.groups(t) {
		assert.Equal(t, got[i].AgentID, g.Groups[0].Series.AgentID())
		assert.Equal(t, got[i].ReceivedAt, g.Batches[0].ReceivedAt)
	}
}

// TestGatewayKeepsBatchesOfAgents sends windows through a second processor.
func TestGatewayKeepsBatchesOfAgents(t *testing.T) {
	middle, last := &gate{}, &gate{}
	agent, _ := started(t, middle, nil)
	gateway, _ := started(t, last, nil)
	require.NoError(t, agent.ConsumeProfiles(t.Context(), cpu(2, "main", map[string]any{"host.name": "h"})))
	sent := pprofile.NewProfiles() // the gateway empties what it takes
	middle.AllProfiles()[0].CopyTo(sent)
	require.NoError(t, gateway.ConsumeProfiles(t.Context(), sent))
	assert.Zero(t, sent.SampleCount())
	assert.Zero(t, sent.Dictionary().StringTable().Len())
	assert.Equal(t, view{agent}.RecentBatches(profile.DefaultTenant, nil, 9), view{gateway}.RecentBatches(profile.DefaultTenant, nil, 9))
	assert.Equal(t, middle.groups(t)[0].Batches, last.groups(t)[0].Batches)
	assert.NotEqual(t, middle.groups(t)[0].WindowID, last.groups(t)[0].WindowID)
}

func TestLiveViewRegisters(t *testing.T) {
	id := component.MustNewID("aperture_api")
	create := func() *bufferProcessor {
		cfg := createDefaultConfig().(*Config)
		cfg.LiveView = &id
		cfg.KeepProfiles.Duration = time.Hour
		cfg.Window = time.Millisecond
		p, err := newProcessor(processor.Settings{TelemetrySettings: componenttest.NewNopTelemetrySettings()}, cfg, &gate{})
		require.NoError(t, err)
		return p
	}
	require.ErrorContains(t, create().Start(t.Context(), testHost{}), "`live_view`: there is no extension \"aperture_api\"")
	require.ErrorContains(t, create().Start(t.Context(), testHost{id: create()}), "does not show recent batches")
	r := &registry{}
	p := create()
	require.NoError(t, p.Start(t.Context(), testHost{id: r}))
	require.Len(t, r.views, 1)
	require.NoError(t, p.ConsumeProfiles(t.Context(), cpu(2, "main", nil)))
	assert.Len(t, r.views[1].RecentBatches(profile.DefaultTenant, nil, 1), 1)
	n, err := r.views[1].Reader().CountEvents(t.Context(), profilestore.Selector{Tenant: profile.DefaultTenant})
	require.NoError(t, err)
	assert.EqualValues(t, 2, n)
	require.NoError(t, p.Shutdown(t.Context()))
	assert.Empty(t, r.views)
	require.NoError(t, p.Shutdown(t.Context()))
	assert.Equal(t, metadata.Type, NewFactory().Type())
}
