package ingest

import (
	"bytes"
	"strings"
	"testing"
	"time"

	pprof "github.com/google/pprof/profile"
	jfrpprof "github.com/grafana/jfr-parser/pprof"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/aperture-collector/aperture-collector/internal/heaptest"
	"github.com/aperture-collector/aperture-collector/internal/jfr/jfrtest"
)

// Each set of labels of a recording makes profiles, so there are not any number.
func TestSetsOfLabels(t *testing.T) {
	snapshot := &jfrpprof.LabelsSnapshot{Strings: make(map[int64]string)}
	var events []jfrtest.Event
	p := &Params{Application: "app", Format: JFR, From: now, Until: now.Add(time.Second), SampleRate: 100}
	for i := 1; i <= maxSets+1; i++ {
		snapshot.Strings[int64(i)] = "span"
		events = append(events, jfrtest.Event{jfrtest.Sample, jfrtest.Runnable, 1, 0, 0, i, 0, 0})
	}
	labels, err := proto.Marshal(snapshot)
	require.NoError(t, err)
	b := NewBatch("t", &Limits{}, now)
	data := jfrtest.Of(events[:maxSets]...)
	require.NoError(t, b.JFR(p, data, labels))
	assert.Equal(t, int64(len(data)+len(labels)), b.Bytes)
	err = NewBatch("t", &Limits{}, now).JFR(p, jfrtest.Of(events...), labels)
	require.EqualError(t, err, "profile has more than 4096 different sets of labels")
}

// Methods of a recording can have a long class in common: what is cut off their names
// takes no memory, and what is left has a bound.
func TestNamesOfMethods(t *testing.T) {
	p := &Params{Application: "app", Format: JFR, From: now, Until: now.Add(time.Second), SampleRate: 100}
	long := strings.Repeat("a/", 4<<20) + "B"
	data := jfrtest.Wide(2000, long, "run")
	before := heaptest.InUse()
	b := NewBatch("t", &Limits{MaxSymbolLength: 100}, now)
	require.NoError(t, b.JFR(p, data, nil))
	assert.Less(t, heaptest.InUse(), before+8<<20)
	names := b.Profiles.Dictionary().StringTable()
	for i := range names.Len() {
		assert.LessOrEqual(t, len(names.At(i)), 100)
	}
	err := NewBatch("t", &Limits{}, now).JFR(p, data, nil)
	require.EqualError(t, err, "names of methods have more than 67108864 bytes together")
}

// A series is one however the labels of its samples are ordered.
func TestOrderOfLabels(t *testing.T) {
	b := NewBatch("t", &Limits{}, now)
	series, err := NewSeries([]Label{{labelName, "process_cpu"}})
	require.NoError(t, err)
	l := &pprof.Location{ID: 1, Address: 1}
	sample := func(labels map[string][]string) *pprof.Sample {
		return &pprof.Sample{Location: []*pprof.Location{l}, Value: []int64{1}, Label: labels}
	}
	both, one := map[string][]string{"a": {"1"}, "b": {"2"}}, map[string][]string{"b": {"2"}}
	for _, samples := range [][]*pprof.Sample{{sample(both)}, {sample(one), sample(both)}} {
		var buf bytes.Buffer
		p := &pprof.Profile{
			SampleType: []*pprof.ValueType{{Type: "cpu", Unit: "nanoseconds"}}, PeriodType: &pprof.ValueType{Type: "cpu", Unit: "nanoseconds"},
			Sample: samples, Location: []*pprof.Location{l},
		}
		require.NoError(t, p.Write(&buf))
		require.NoError(t, b.Pprof(buf.Bytes(), series, PprofOptions{Time: now}))
	}
	ids, _, err := b.Check()
	require.NoError(t, err)
	assert.Len(t, ids, 2)
}

// The service by the name that attributes have is that of a series without another.
func TestServiceOfAttribute(t *testing.T) {
	for want, labels := range map[string][]Label{
		`{service_name="a"}`: {{"service.name", "a"}},
		`{service_name="b"}`: {{"service.name", "a"}, {"service_name", "b"}},
		`{service_name="c"}`: {{"service_name", "c"}, {"service.name", "a"}},
	} {
		s, err := NewSeries(labels)
		require.NoError(t, err)
		assert.Equal(t, want, s.String())
		assert.Empty(t, s.labels)
	}
}
