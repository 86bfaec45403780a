package pyroscopereceiver

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// jfrPrint is what the program jfr prints of a recording as JSON.
type jfrPrint struct {
	Recording struct {
		Events []struct {
			Type   string
			Values struct {
				State      string
				Weight     int64
				Duration   string
				StackTrace *struct{}
			}
		}
	}
}

// What a JVM records is pushed, and comes out with the sums that the JVM's own tool
// prints.
func TestJVM(t *testing.T) {
	java, err := exec.LookPath("java")
	if err != nil {
		t.Skip("needs a JVM")
	}
	file := filepath.Join(t.TempDir(), "work.jfr")
	out, err := exec.CommandContext(t.Context(), java, "-XX:StartFlightRecording=filename="+file+",settings=profile",
		"../../internal/profileimport/testdata/Work.java").CombinedOutput()
	require.NoError(t, err, string(out))
	recording, err := os.ReadFile(file)
	require.NoError(t, err)
	out, err = exec.CommandContext(t.Context(), filepath.Join(filepath.Dir(java), "jfr"), "print", "--json", "--stack-depth", "1",
		"--events", "jdk.ExecutionSample,jdk.ObjectAllocationSample,jdk.JavaMonitorEnter,jdk.ThreadPark", file).Output()
	require.NoError(t, err)
	var printed jfrPrint
	require.NoError(t, json.Unmarshal(out, &printed))
	want := make(map[string]int64)
	for _, e := range printed.Recording.Events {
		if e.Values.StackTrace == nil {
			continue
		}
		duration := func(name string) {
			d, err := time.ParseDuration(strings.ToLower(strings.TrimPrefix(e.Values.Duration, "PT")))
			require.NoError(t, err)
			want[name+":contentions"]++
			want[name+":delay"] += int64(d)
		}
		switch e.Type {
		case "jdk.ExecutionSample":
			if e.Values.State != "STATE_SLEEPING" {
				want["process_cpu:samples"]++
				want["process_cpu:cpu"] += 10_000_000
			}
		case "jdk.ObjectAllocationSample":
			want["memory:alloc_sample_objects"]++
			want["memory:alloc_sample_bytes"] += e.Values.Weight
		case "jdk.JavaMonitorEnter":
			duration("mutex")
		case "jdk.ThreadPark":
			duration("block")
		}
	}
	require.Len(t, want, 8)

	f := start(t, options{})
	form, contentType := formOf(t, "jfr", string(gzipped(t, recording)))
	got, spun := make(map[string]int64), int64(0)
	for k, v := range f.push(t, query("name", "app", "format", "jfr", "spyName", "javaspy"), form, "Content-Type", contentType) {
		parts := strings.Split(strings.TrimPrefix(k, "anonymous "), ":")
		got[parts[0]+":"+parts[1]] += v
		if strings.Contains(k, "Work.main;Work.most;Work.spin") && parts[1] == "samples" {
			spun += v
		}
	}
	assert.Equal(t, want, got)
	assert.Positive(t, spun)
}
