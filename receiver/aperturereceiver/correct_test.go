package aperturereceiver

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/metric/metricdata/metricdatatest"

	"github.com/aperture-collector/aperture-collector/internal/aperturewire"
	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/syscallname"
	aggregatorv1 "github.com/aperture-collector/aperture-collector/proto/aperture/aggregator/v1"
	"github.com/aperture-collector/aperture-collector/receiver/aperturereceiver/internal/metadatatest"
)

func TestConvertCorrectsTimes(t *testing.T) {
	for at, want := range map[uint64]uint64{
		0:                                      0,
		testNow:                                testNow,
		testNow + uint64(profile.MaxAhead):     testNow + uint64(profile.MaxAhead),
		testNow + uint64(profile.MaxAhead) + 1: testNow,
		uint64(profile.MaxTime):                testNow,
		math.MaxInt64:                          testNow,
		math.MaxUint64:                         testNow,
	} {
		// Another event of the batch and of the process keeps its own time.
		m, err := aperturewire.Decode(message(
			cpuEvent(aperturewire.CPUSample{Timestamp: at, PID: math.MinInt32, Comm: "c"}),
			cpuEvent(aperturewire.CPUSample{Timestamp: 5e9, PID: math.MinInt32, Comm: "c"}),
		))
		require.NoError(t, err)
		pd, _, corrected, err := convert(&m, testBatch, syscallname.X8664, 10)
		require.NoError(t, err)
		assert.Equal(t, corrections{times: number(at != want)}, corrected, at)
		assert.Contains(t, dump(pd), "process.pid=-2147483648")
		g, err := profile.Split(pd, time.Second, profile.Limits{})
		require.NoError(t, err, at)
		assert.EqualValues(t, want, g.Groups[0].Start)
		assert.EqualValues(t, int64(5e9), g.Groups[len(g.Groups)-1].Start)
	}
}

func number(b bool) int {
	if b {
		return 1
	}
	return 0
}

func TestConvertCorrectsDurations(t *testing.T) {
	const year = uint64(365 * 24 * time.Hour)
	for ns, want := range map[uint64]uint64{
		0: 0, 5: 5, year: year, year + 1: year, math.MaxInt64: year, math.MaxInt64 + 1: 0, math.MaxUint64: 0,
	} {
		for _, add := range []func(aperturewire.Encoder, []byte) []byte{
			syscallEvent(aperturewire.Syscall{PID: 1, Duration: ns}),
			lockEvent(aperturewire.LockWait{PID: 1, WaitTime: ns}),
			gpuEvent(aperturewire.GPUKernel{PID: 1, Duration: ns}),
		} {
			m, err := aperturewire.Decode(message(add))
			require.NoError(t, err)
			pd, _, corrected, err := convert(&m, testBatch, syscallname.X8664, 10)
			require.NoError(t, err)
			assert.Equal(t, corrections{durations: number(ns != want)}, corrected, ns)
			g, err := profile.Split(pd, time.Second, profile.Limits{})
			require.NoError(t, err, ns)
			e := g.Groups[0].Entries[0]
			assert.EqualValues(t, want, e.Values[0])
			if g.Groups[0].Kind == profile.KindSyscall {
				assert.EqualValues(t, profile.LatencyBucket(want), g.Dict.Attributes[e.Attrs].Bucket)
			}
		}
	}
}

func TestCorrectionsAreCounted(t *testing.T) {
	s := startServer(t, serverOptions{})
	resp, err := s.Push(t.Context(), &aggregatorv1.PushRequest{AgentId: "a", Payload: message(
		cpuEvent(aperturewire.CPUSample{Timestamp: math.MaxUint64, PID: 1}),
		cpuEvent(aperturewire.CPUSample{Timestamp: uint64(time.Now().Add(2 * time.Hour).UnixNano()), PID: 1}),
		cpuEvent(aperturewire.CPUSample{Timestamp: uint64(time.Now().Add(time.Minute).UnixNano()), PID: 1}),
		lockEvent(aperturewire.LockWait{PID: 1, WaitTime: math.MaxUint64}),
	)})
	require.NoError(t, err)
	assert.True(t, resp.Ok, resp.Error)
	metadatatest.AssertEqualReceiverAperturePushCorrected(t, s.telemetry, []metricdata.DataPoint[int64]{
		{Attributes: attribute.NewSet(attribute.String("field", "timestamp")), Value: 2},
		{Attributes: attribute.NewSet(attribute.String("field", "duration")), Value: 1},
	}, metricdatatest.IgnoreTimestamp(), metricdatatest.IgnoreExemplars())
}
