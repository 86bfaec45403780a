package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestTimes(t *testing.T) {
	for text, want := range map[string]time.Time{
		"now":                       at,
		"-15m":                      at.Add(-15 * time.Minute),
		"-7d":                       at.Add(-7 * 24 * time.Hour),
		"1700000000000":             time.UnixMilli(1_700_000_000_000),
		"1700000000000000001":       time.Unix(0, 1_700_000_000_000_000_001),
		"2026-01-01T01:00:00+01:00": time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC),
		"2026-01-01T00:00:00.5Z":    time.Date(2026, 1, 1, 0, 0, 0, 5e8, time.UTC),
	} {
		ns, err := parseTime("--from", at, text)
		require.NoError(t, err, text)
		assert.Equal(t, want.UnixNano(), ns, text)
	}
	for _, text := range []string{"", "0", "-1", "--1m", "-100000d", "1969-01-01T00:00:00Z", "9999-01-01T00:00:00Z", "2026-01-01", "99999999999999999999", "-NaNd", "-1e9d"} {
		_, err := parseTime("--from", at, text)
		require.ErrorContains(t, err, "--from must be a time", text)
	}
	first, final, err := parseRange(at, "1h", "", "-30m")
	require.NoError(t, err)
	assert.Equal(t, at.Add(-90*time.Minute).UnixNano(), first)
	assert.Equal(t, at.Add(-30*time.Minute).UnixNano(), final)
}

func TestTexts(t *testing.T) {
	for ns, want := range map[int64]string{
		0: "0s", 999: "999ns", 12_345: "12.35µs", 1_234_567: "1.235ms", 2_605_123_456: "2.605s", 100 * int64(time.Second): "1m40s", -1500: "-1.5µs",
	} {
		assert.Equal(t, want, durationText(ns))
	}
	for n, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1536: "1.5 KiB", 142_997_472: "136.4 MiB", 1 << 50: "1024 TiB", -2048: "-2 KiB"} {
		assert.Equal(t, want, bytesText(n))
	}
	assert.Equal(t, "äö…", shorten("äöü", 2))
	assert.Equal(t, "a b�c", printable("a\nb\x00c"))
	assert.Equal(t, "one line", sentence("one\n\tline.."))
}

// The baseline is where the flags put it.
func TestBaseline(t *testing.T) {
	minute := int64(time.Minute)
	now := at.UnixNano()
	for name, tt := range map[string]struct {
		args []string
		want map[string]any
	}{
		"just before": {
			[]string{"--since", "10m"},
			map[string]any{"comparison_start_ns": now - 10*minute, "comparison_end_ns": now, "baseline_start_ns": now - 20*minute - 1, "baseline_end_ns": now - 10*minute - 1},
		},
		"a day before": {
			[]string{"--since", "10m", "--offset", "1d", "--agent", "a"},
			map[string]any{
				"comparison_start_ns": now - 10*minute, "comparison_end_ns": now, "baseline_start_ns": now - 1450*minute, "baseline_end_ns": now - 1440*minute,
				"comparison_agent_id": "a", "baseline_agent_id": "a",
			},
		},
		"another agent": {
			[]string{"--agent", "a", "--baseline-agent", "b", "--from", "-5m"},
			map[string]any{"comparison_start_ns": now - 5*minute, "baseline_start_ns": now - 5*minute, "comparison_agent_id": "a", "baseline_agent_id": "b"},
		},
		"named": {
			[]string{"--baseline-to", "-5m", "--from", "-5m"},
			map[string]any{"comparison_start_ns": now - 5*minute, "baseline_end_ns": now - 5*minute},
		},
	} {
		tt.want["event_type"], tt.want["normalize"], tt.want["frame_order"] = "cpu", "none", "leaf_first"
		var got map[string]any
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			d := json.NewDecoder(r.Body)
			d.UseNumber()
			assert.NoError(t, d.Decode(&got))
			_, _ = io.WriteString(w, `{"result_json":"{\"baseline_total\":1}","error":""}`)
		}))
		r := ctl(t, []string{"APERTURE_SERVER=" + s.URL}, append([]string{"diff"}, tt.args...)...)
		s.Close()
		require.Zero(t, r.code, r.err)
		for k, v := range got {
			if n, ok := v.(json.Number); ok {
				ns, err := n.Int64()
				require.NoError(t, err)
				got[k] = ns
			}
		}
		assert.Equal(t, tt.want, got, name)
	}
}
