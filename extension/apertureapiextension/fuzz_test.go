package apertureapiextension

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const fullBody = `{"agent_id":"a","time_start_ns":1700000000000,"time_end_ns":1700000000001,"limit":5,"event_type":"cpu",` +
	`"service":"s","labels":{"x":"1","y":"2"},"frame_order":"leaf_first","unknown":[{"a":null}]}`

func TestEveryTruncationOfABodyIsRefused(t *testing.T) {
	var q query
	require.NoError(t, q.parseBody([]byte(fullBody)))
	assert.Equal(t, map[string]string{"x": "1", "y": "2"}, q.labels)
	for n := range len(fullBody) {
		var field *fieldError
		require.ErrorAs(t, new(query).parseBody([]byte(fullBody[:n])), &field, fullBody[:n])
	}
}

func checkQuery(t *testing.T, q *query, err error) {
	var field *fieldError
	if err != nil {
		if !errors.As(err, &field) {
			t.Fatalf("error names no field: %v", err)
		}
		return
	}
	if q.start < 0 || q.end < 0 || q.end != 0 && q.end <= q.start || q.limit != nil && *q.limit < 0 || len(q.labels) > maxLabels {
		t.Fatalf("query is out of bounds: %+v", q)
	}
}

func FuzzParseBody(f *testing.F) {
	f.Add([]byte(fullBody))
	f.Add([]byte(`{}`))
	f.Add([]byte(` {"labels" : {} , "limit":0}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var q query
		checkQuery(t, &q, q.parseBody(text))
	})
}

func FuzzParseParams(f *testing.F) {
	f.Add("agent_id=a&time_start_ns=1&time_end_ns=2&limit=3&event_type=cpu&service=s&label.x=1&frame_order=upstream")
	f.Add("limit=%31")
	f.Fuzz(func(t *testing.T, raw string) {
		var q query
		checkQuery(t, &q, q.parseParams(raw))
	})
}

func TestEveryTruncationOfAScrapeIsParsedOrRefused(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("testdata", "collector.prom"))
	require.NoError(t, err)
	for n := range 2500 { // a counter, a histogram and part of a gauge
		if s, err := parseScrape(text[:n]); err == nil {
			require.Len(t, s.aperture(), 9)
		}
	}
}

func FuzzParseScrape(f *testing.F) {
	f.Add([]byte("# TYPE a counter\na_total{x=\"1\"} 5\n"))
	f.Add([]byte("# TYPE otelcol_receiver_aperture_push_duration_seconds histogram\notelcol_receiver_aperture_push_duration_seconds_bucket{le=\"1\"} 2\n"))
	f.Add([]byte("# TYPE A \n{}0"))
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := parseScrape(text)
		if err == nil && len(s.aperture()) != 9 {
			t.Fatal("metrics are missing")
		}
	})
}
