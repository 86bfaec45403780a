package pyroscopereceiver

import (
	"testing"

	jfrpprof "github.com/grafana/jfr-parser/pprof"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	. "github.com/aperture-collector/aperture-collector/internal/jfr/jfrtest"
)

// The labels of contexts are those of the series, the span of an event its link.
func TestJFR(t *testing.T) {
	f := start(t, options{})
	setting := Event{ActiveSetting, ExecutionSample, "event", "wall"}
	data := Of(setting,
		Event{Sample, Runnable, 1, 1, 255, 3, 0, 0},
		Event{Sample, Runnable, 1, 0, 0, 0, 0, 0},
		Event{Sample, Sleeping, 2, 1, 255, 0, 0, 0},
		Event{WallClockSample, Runnable, 2, 0, 0, 0, 1, 2, 4},
		Event{WallClockSample, Sleeping, 2, 0, 0, 0, 1, 2, 5},
		Event{InTLAB, 70, 1}, Event{OutsideTLAB, 8, 1}, Event{Allocation, 100, 1},
		Event{MonitorEnter, 2000, 1}, Event{ThreadPark, 3000, 2}, Event{ThreadPark, 1, 2},
		Event{LiveObject, 1}, Event{LiveObject, 1}, Event{Malloc, 64, 2}, Event{Malloc, 64, 99},
	)
	labels, err := proto.Marshal(&jfrpprof.LabelsSnapshot{
		Contexts: map[int64]*jfrpprof.Context{1: {Labels: map[int64]int64{1: 2, 5: 2}}},
		Strings:  map[int64]string{1: "thread.group", 2: "workers", 3: "GET /", 5: "env"},
	})
	require.NoError(t, err)
	const labelled, plain = "{env=x,jfr_event=wall,pyroscope_spy=javaspy,service_name=app.x,span_name=GET /,thread_group=workers} a/B.c",
		"{env=x,jfr_event=wall,pyroscope_spy=javaspy,service_name=app.x} a/B.c"
	want := map[string]int64{
		"process_cpu:samples:count:cpu:nanoseconds " + labelled:                                                                                   1,
		"process_cpu:cpu:nanoseconds:cpu:nanoseconds " + labelled:                                                                                 10_000_000,
		"process_cpu:samples:count:cpu:nanoseconds " + plain:                                                                                      1,
		"process_cpu:cpu:nanoseconds:cpu:nanoseconds " + plain:                                                                                    10_000_000,
		"process_cpu:samples:count:cpu:nanoseconds " + plain + ";a/B.d":                                                                           4,
		"process_cpu:cpu:nanoseconds:cpu:nanoseconds " + plain + ";a/B.d":                                                                         40_000_000,
		"wall:wall:nanoseconds:wall:nanoseconds " + labelled:                                                                                      10_000_000,
		"wall:wall:nanoseconds:wall:nanoseconds " + plain:                                                                                         10_000_000,
		"wall:wall:nanoseconds:wall:nanoseconds " + plain + ";a/B.d":                                                                              90_000_000,
		"wall:wall:nanoseconds:wall:nanoseconds {env=x,jfr_event=wall,pyroscope_spy=javaspy,service_name=app.x,thread_group=workers} a/B.c;a/B.d": 10_000_000,
		"memory:alloc_in_new_tlab_objects:count:space:bytes " + plain:                                                                             1,
		"memory:alloc_in_new_tlab_bytes:bytes:space:bytes " + plain:                                                                               70,
		"memory:alloc_outside_tlab_objects:count:space:bytes " + plain:                                                                            1,
		"memory:alloc_outside_tlab_bytes:bytes:space:bytes " + plain:                                                                              8,
		"memory:alloc_sample_objects:count:space:bytes " + plain:                                                                                  1,
		"memory:alloc_sample_bytes:bytes:space:bytes " + plain:                                                                                    100,
		"mutex:contentions:count:mutex:count " + plain:                                                                                            1,
		"mutex:delay:nanoseconds:mutex:count " + plain:                                                                                            2000,
		"block:contentions:count:block:count " + plain + ";a/B.d":                                                                                 2,
		"block:delay:nanoseconds:block:count " + plain + ";a/B.d":                                                                                 3001,
		"memory:live:count:objects:count " + plain:                                                                                                2,
		"memory:malloc_objects:count:: " + plain + ";a/B.d":                                                                                       1,
		"memory:malloc_bytes:bytes:: " + plain + ";a/B.d":                                                                                         64,
	}
	short := want
	want = make(map[string]int64)
	for k, v := range short {
		want["anonymous "+k] = v
	}
	path := query("name", "app.x{env=x}", "format", "jfr", "spyName", "javaspy")
	form, contentType := formOf(t, "jfr", string(data), "labels", string(labels))
	assert.Equal(t, want, f.push(t, path, form, "Content-Type", contentType))
	form, contentType = formOf(t, "jfr", string(gzipped(t, data)), "labels", string(gzipped(t, labels)))
	assert.Equal(t, want, f.push(t, path, form, "Content-Type", contentType))

	assert.NotEmpty(t, f.push(t, path, data))
	pd := f.sink.AllProfiles()[0]
	links := make(map[string]bool)
	for _, l := range pd.Dictionary().LinkTable().All() {
		links[l.TraceID().String()+" "+l.SpanID().String()] = true
	}
	assert.Equal(t, map[string]bool{" ": true, " 00000000000000ff": true, "00000000000000010000000000000002 ": true}, links)
}
