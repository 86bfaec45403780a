package pyroscopeapiextension

import (
	"encoding/json"
	"math"
	"net/url"
	"testing"
	"time"

	querierv1 "github.com/grafana/pyroscope/api/gen/proto/go/querier/v1"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/internal/profile"
)

// Whatever the parameters of render are, they are refused or make a query within the
// limits.
func FuzzRenderParams(f *testing.F) {
	f.Add("query=process_cpu:cpu:nanoseconds:cpu:nanoseconds%7Ba=%22b%22%7D&from=now-1h&until=now&maxNodes=10&groupBy=x")
	f.Add("query=memory:inuse_space:bytes:space:bytes&from=1577836800000&until=1577840400000")
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	a := &api{cfg: createDefaultConfig().(*Config), now: func() time.Time { return now }}
	f.Fuzz(func(t *testing.T, text string) {
		values, err := url.ParseQuery(text)
		if err != nil {
			return
		}
		q, err := a.renderQuery("anonymous", values, "query", "from", "until")
		if err != nil {
			require.ErrorIs(t, err, profile.ErrInvalid)
			return
		}
		if step := a.cfg.Compatibility.timelineStep(q.times); step < 10_000 {
			t.Fatalf("step is %d ms", step)
		}
		series := &seriesQuery{stackQuery: *q, step: a.cfg.Compatibility.timelineStep(q.times)}
		require.LessOrEqual(t, len(newTimeline(series).Samples), maxSteps)
		cut, some, err := a.cfg.Limits.checkRange(q.times, now)
		if err != nil {
			require.ErrorIs(t, err, profile.ErrInvalid)
		} else if some {
			require.LessOrEqual(t, cut.end-cut.start, int64(24*time.Hour/time.Millisecond))
			require.GreaterOrEqual(t, cut.start, now.Add(-a.cfg.Limits.MaxQueryLookback).UnixMilli())
		}
		if n, err := a.cfg.nodes(maxNodes(values)); err == nil {
			require.LessOrEqual(t, n, a.cfg.Limits.MaxFlamegraphNodesMax)
		}
	})
}

// Whatever a request says, it is refused or makes a query.
func FuzzRequests(f *testing.F) {
	f.Add([]byte(`{"profile_typeID":"a:b:c:d:e","label_selector":"{a=\"b\"}","start":1,"end":2,"span_selector":["0000000000000001"]}`), 10.0)
	f.Add([]byte(`{"profile_typeID":"a:b:c:d:e","label_selector":"{}","profile_id_selector":["00000000-0000-0000-0000-000000000008"]}`), math.NaN())
	f.Fuzz(func(t *testing.T, text []byte, step float64) {
		var r querierv1.SelectMergeStacktracesRequest
		if json.Unmarshal(text, &r) != nil {
			return
		}
		q, err := stacktracesQuery("anonymous", &r)
		if err != nil {
			require.ErrorIs(t, err, profile.ErrInvalid)
			return
		}
		require.LessOrEqual(t, len(q.only.spans)+len(q.only.traces)+len(q.only.profiles), 3*maxIDs)
		series := &seriesQuery{stackQuery: *q}
		if err := series.steps(step); err != nil {
			require.ErrorIs(t, err, profile.ErrInvalid)
			return
		}
		require.Positive(t, series.step)
		series.point(math.MaxInt64 / 2)
	})
}

// Whatever file is looked at, it is refused or drawn.
func FuzzAdhocFile(f *testing.F) {
	f.Add([]byte("main;a 3\nmain 1\n"))
	f.Add([]byte("\x1f\x8b"))
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := readFile(data)
		if err != nil {
			require.ErrorIs(t, err, profile.ErrInvalid)
			return
		}
		for i := range file.types {
			file.types[i].tree().Graph(100)
		}
	})
}
