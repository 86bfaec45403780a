package clickhouseprofilesexporter

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/exporter/exporterhelper"
	"go.opentelemetry.io/collector/exporter/exportertest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pprofile"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/metric/metricdata/metricdatatest"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/aperture-collector/aperture-collector/exporter/clickhouseprofilesexporter/internal/metadata"
	"github.com/aperture-collector/aperture-collector/exporter/clickhouseprofilesexporter/internal/metadatatest"
	"github.com/aperture-collector/aperture-collector/internal/profile"
)

func TestLifecycle(t *testing.T) {
	e, err := NewFactory().CreateDefaultConfig(), error(nil)
	require.NoError(t, componenttest.CheckConfigStruct(e))
	require.NoError(t, err)
	never, err := newExporter(t.Context(), exportertest.NewNopSettings(metadata.Type), testConfig(nil))
	require.NoError(t, err)
	require.NoError(t, never.Shutdown(t.Context()))
	for range 2 {
		x := start(t, testHost{storeID: &memoryStore{}}, nil)
		require.NoError(t, x.ConsumeProfiles(t.Context(), window("", "api", 1)))
		require.NoError(t, x.Shutdown(t.Context()))
	}
}

func TestStartNamesTheKey(t *testing.T) {
	f := func(host testHost, want string, change func(*Config)) {
		t.Helper()
		e, err := newExporter(t.Context(), exportertest.NewNopSettings(metadata.Type), testConfig(change))
		require.NoError(t, err)
		require.ErrorContains(t, e.Start(t.Context(), host), want)
		require.NoError(t, e.Shutdown(t.Context()))
	}
	f(testHost{}, "find `store`: there is no extension \"profile_store\"", nil)
	ext := fileStorage(t, t.TempDir())
	f(testHost{storeID: ext}, "find `store`: extension \"profile_store\" does not store profiles", nil)
	f(testHost{storeID: &memoryStore{}}, "`sending_queue::storage` \"file_storage/queue\"", persistent)
	f(testHost{storeID: &memoryStore{}, storageID: &memoryStore{}}, "`sending_queue::storage`", persistent)
	require.NoError(t, ext.Shutdown(t.Context()))
}

// TestTokenSurvivesTheWire expects the same token before and after the queue,
// however often it is written, and different ones for different content.
func TestTokenSurvivesTheWire(t *testing.T) {
	of := func(pd pprofile.Profiles) profile.ID {
		g, err := profile.Split(pd, 1e9, limits)
		require.NoError(t, err)
		return token(g)
	}
	seen := map[profile.ID]string{}
	for _, id := range []string{"", "w1", "w2"} {
		for _, service := range []string{"a", "b"} {
			for n := range 3 {
				pd := window(id, service, n)
				want := of(pd)
				for range 3 {
					b, err := (&pprofile.ProtoMarshaler{}).MarshalProfiles(pd)
					require.NoError(t, err)
					again, err := (&pprofile.ProtoMarshaler{}).MarshalProfiles(pd)
					require.NoError(t, err)
					require.Equal(t, b, again)
					pd, err = (&pprofile.ProtoUnmarshaler{}).UnmarshalProfiles(b)
					require.NoError(t, err)
					require.Equal(t, want, of(pd))
				}
				name := fmt.Sprint(id, "/", service, n)
				if n > 0 {
					assert.NotContains(t, seen, want, name)
					seen[want] = name
					linked := window(id, service, n)
					link := linked.Dictionary().LinkTable().AppendEmpty()
					if linked.Dictionary().LinkTable().Len() == 1 { // the first stands for none
						link = linked.Dictionary().LinkTable().AppendEmpty()
					}
					link.SetSpanID(pcommon.SpanID{1})
					linked.ResourceProfiles().At(0).ScopeProfiles().At(0).Profiles().At(0).Samples().At(0).SetLinkIndex(int32(linked.Dictionary().LinkTable().Len() - 1))
					assert.NotEqual(t, want, of(linked), "spans are part of it")
				}
			}
		}
	}
}

// TestMemoryQueueAnswersWithTheOutcome: without a storage, nothing is
// acknowledged before it is stored.
func TestMemoryQueueAnswersWithTheOutcome(t *testing.T) {
	store := &memoryStore{err: errAway}
	e := start(t, testHost{storeID: store}, nil)
	done := make(chan error)
	go func() { done <- e.ConsumeProfiles(t.Context(), window("w1", "api", 5)) }()
	eventually(t, func() bool { return store.attempts() > 2 })
	select {
	case err := <-done:
		t.Fatalf("answered %v while the store refuses", err)
	default:
	}
	store.refuse(nil)
	require.NoError(t, <-done)
	assert.EqualValues(t, 5, store.events())
	require.NoError(t, e.Shutdown(t.Context()))
}

func TestFullQueueRefuses(t *testing.T) {
	store := &memoryStore{err: errAway}
	storage := fileStorage(t, t.TempDir())
	e := start(t, testHost{storeID: store, storageID: storage}, func(c *Config) {
		persistent(c)
		c.QueueConfig.Get().QueueSize = 20
	})
	taken := uint64(0)
	var refused error
	for i := 0; refused == nil; i++ {
		if refused = e.ConsumeProfiles(t.Context(), window(fmt.Sprint("w", i), "api", 3)); refused == nil {
			taken += 3
		}
	}
	assert.EqualValues(t, 18, taken)
	assert.False(t, consumererror.IsPermanent(refused))
	require.ErrorIs(t, refused, exporterhelper.ErrQueueIsFull)
	assert.Equal(t, codes.ResourceExhausted, status.Code(refused))
	store.refuse(nil)
	eventually(t, func() bool { return store.events() == taken })
	eventually(t, func() bool { return e.ConsumeProfiles(t.Context(), window("last", "api", 3)) == nil })
	eventually(t, func() bool { return store.events() == taken+3 })
	require.NoError(t, e.Shutdown(t.Context()))
	require.NoError(t, storage.Shutdown(t.Context()))
}

// TestPoisonDoesNotBlock puts requests that can never be stored among good ones.
func TestPoisonDoesNotBlock(t *testing.T) {
	store := &memoryStore{}
	storage := fileStorage(t, t.TempDir())
	e := start(t, testHost{storeID: store, storageID: storage}, persistent)
	bad := window("w1", "api", 1)
	bad.ResourceProfiles().At(0).ScopeProfiles().At(0).Profiles().At(0).Samples().At(0).SetStackIndex(99)
	require.NoError(t, e.ConsumeProfiles(t.Context(), bad))
	require.NoError(t, e.ConsumeProfiles(t.Context(), window("w2", "poison", 1)))
	require.NoError(t, e.ConsumeProfiles(t.Context(), window("w3", "api", 7)))
	eventually(t, func() bool { return store.events() == 7 })
	require.NoError(t, e.Shutdown(t.Context()))
	require.NoError(t, storage.Shutdown(t.Context()))
}

func TestTelemetry(t *testing.T) {
	tel := componenttest.NewTelemetry()
	set := exporter.Settings{ID: exportertest.NewNopSettings(metadata.Type).ID, TelemetrySettings: tel.NewTelemetrySettings()}
	e, err := newExporter(t.Context(), set, testConfig(func(c *Config) {
		c.QueueConfig = configoptional.None[exporterhelper.QueueBatchConfig]()
		c.BackOffConfig.Enabled = false
	}))
	require.NoError(t, err)
	store := &memoryStore{}
	require.NoError(t, e.Start(t.Context(), testHost{storeID: store}))
	require.NoError(t, e.ConsumeProfiles(t.Context(), window("w1", "api", 4)))
	store.refuse(errAway)
	err = e.ConsumeProfiles(t.Context(), window("w2", "api", 4))
	require.ErrorIs(t, err, errAway)
	assert.False(t, consumererror.IsPermanent(err))
	err = e.ConsumeProfiles(t.Context(), window("w2", "poison", 4))
	require.ErrorIs(t, err, profile.ErrInvalid)
	assert.True(t, consumererror.IsPermanent(err))
	require.NoError(t, e.ConsumeProfiles(t.Context(), pprofile.NewProfiles()))
	metadatatest.AssertEqualExporterClickhouseProfilesFlush(t, tel, []metricdata.DataPoint[int64]{
		{Value: 1, Attributes: attribute.NewSet(attribute.String("status", "ok"))},
		{Value: 2, Attributes: attribute.NewSet(attribute.String("status", "error"))},
	}, metricdatatest.IgnoreTimestamp(), metricdatatest.IgnoreExemplars())
	metadatatest.AssertEqualExporterClickhouseProfilesFlushRows(t, tel, []metricdata.DataPoint[int64]{{Value: 4}}, metricdatatest.IgnoreTimestamp(), metricdatatest.IgnoreExemplars())
	metadatatest.AssertEqualExporterClickhouseProfilesInvalid(t, tel, []metricdata.DataPoint[int64]{{Value: 1}}, metricdatatest.IgnoreTimestamp(), metricdatatest.IgnoreExemplars())
	require.NoError(t, e.Shutdown(context.Background()))
	require.NoError(t, tel.Shutdown(context.Background()))
}
