package typemap

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/internal/profile"
)

func value(t, unit string) profile.ValueType { return profile.ValueType{Type: t, Unit: unit} }

// What was pushed under an ID is found under it.
func TestColumns(t *testing.T) {
	samples, cpu := value("samples", "count"), value("cpu", "nanoseconds")
	f := func(kind string, types []profile.ValueType, period profile.ValueType, want ...string) {
		t.Helper()
		var got []string
		for _, c := range Columns(kind, types, period) {
			text := c.ID.String()
			parsed, err := Parse(text)
			require.NoError(t, err)
			assert.Equal(t, c.ID, parsed)
			assert.Equal(t, kind, Kind(parsed.Name))
			if !c.PerPeriod {
				assert.Equal(t, types[c.Index], parsed.Sample)
			} else {
				assert.Equal(t, samples, types[c.Index])
				text += " per period"
			}
			got = append(got, text)
		}
		assert.Equal(t, want, got)
	}
	f("cpu", []profile.ValueType{samples, cpu}, cpu, "process_cpu:samples:count:cpu:nanoseconds", "process_cpu:cpu:nanoseconds:cpu:nanoseconds")
	f("cpu", []profile.ValueType{samples}, profile.ValueType{}, "process_cpu:samples:count:cpu:nanoseconds", "process_cpu:cpu:nanoseconds:cpu:nanoseconds per period")
	f("cpu", []profile.ValueType{cpu}, cpu, "process_cpu:cpu:nanoseconds:cpu:nanoseconds")
	f("memory", []profile.ValueType{value("alloc_objects", "count"), value("alloc_space", "bytes")}, value("space", "bytes"),
		"memory:alloc_objects:count:space:bytes", "memory:alloc_space:bytes:space:bytes")
	f("wall", []profile.ValueType{value("wall", "nanoseconds")}, cpu, "wall:wall:nanoseconds:cpu:nanoseconds")
	f("goroutine", []profile.ValueType{value("goroutines", "count")}, profile.ValueType{}, "goroutine:goroutines:count::")
	f("off_cpu", profile.Types("off_cpu"), profile.ValueType{}, "off_cpu:off_cpu:nanoseconds::", "off_cpu:events:count::")
	f("lock", profile.Types("lock"), profile.ValueType{}, "lock:delay:nanoseconds::", "lock:contentions:count::")
	f("syscall", profile.Types("syscall"), profile.ValueType{}, "syscall:duration:nanoseconds::", "syscall:calls:count::")
}

func TestParse(t *testing.T) {
	got, err := Parse("memory:alloc_space:bytes:space:bytes:delta")
	require.NoError(t, err)
	assert.Equal(t, "memory:alloc_space:bytes:space:bytes", got.String())
	for _, bad := range []string{"", "memory", "a:b:c:d", "a:b:c:d:e:f", "a:b:c:d:e:delta:delta", ":b:c:d:e", "a::c:d:e"} {
		_, err := Parse(bad)
		assert.Error(t, err, bad)
	}
}

func TestNameOf(t *testing.T) {
	f := func(want string, display map[string]string, types ...string) {
		t.Helper()
		assert.Equal(t, want, NameOf(types, display))
	}
	f("process_cpu", nil, "samples", "cpu")
	f("process_cpu", nil, "cpu")
	f("wall", nil, "sample", "wall")
	f("wall", nil, "samples", "cpu", "wall")
	f("memory", nil, "alloc_objects", "alloc_space", "inuse_objects", "inuse_space")
	f("memory", nil, "objects", "space")
	f("mutex", nil, "contentions", "delay")
	f("block", map[string]string{"contentions": "block_count", "delay": "block_duration"}, "contentions", "delay")
	f("mutex", map[string]string{"contentions": "mutex_count", "delay": "mutex_duration"}, "contentions", "delay")
	f("goroutines", nil, "goroutine")
	f("goroutines", map[string]string{"goroutine": "goroutines"}, "goroutine")
	f("exceptions", nil, "other", "exceptions")
	f("process_cpu", map[string]string{"ticks": "my_cpu"}, "ticks")
	f("", nil)
}

func TestOfText(t *testing.T) {
	for suffix, want := range map[string]string{
		"":                           "process_cpu:cpu:nanoseconds:cpu:nanoseconds",
		"cpu":                        "process_cpu:cpu:nanoseconds:cpu:nanoseconds",
		"itimer":                     "process_cpu:cpu:nanoseconds:cpu:nanoseconds",
		"wall":                       "wall:wall:nanoseconds:cpu:nanoseconds",
		"seconds":                    "wall:wall:nanoseconds:cpu:nanoseconds",
		"nanoseconds":                "wall:wall:nanoseconds:cpu:nanoseconds",
		"microseconds":               "wall:wall:nanoseconds:cpu:nanoseconds",
		"milliseconds":               "wall:wall:nanoseconds:cpu:nanoseconds",
		"inuse_objects":              "memory:inuse_objects:count::",
		"alloc_objects":              "memory:alloc_objects:count::",
		"live":                       "memory:live:count::",
		"alloc_in_new_tlab_objects":  "memory:alloc_in_new_tlab_objects:count::",
		"alloc_outside_tlab_objects": "memory:alloc_outside_tlab_objects:count::",
		"inuse_space":                "memory:inuse_space:bytes::",
		"alloc_space":                "memory:alloc_space:bytes::",
		"alloc_in_new_tlab_bytes":    "memory:alloc_in_new_tlab_bytes:bytes::",
		"alloc_outside_tlab_bytes":   "memory:alloc_outside_tlab_bytes:bytes::",
		"bytes":                      "memory:samples:bytes::",
		"goroutines":                 "goroutine:goroutines:count::",
		"mutex_count":                "mutex:contentions:count::",
		"mutex_duration":             "mutex:delay:nanoseconds::",
		"block_count":                "block:contentions:count::",
		"lock_count":                 "block:contentions:count::",
		"block_duration":             "block:delay:nanoseconds::",
		"lock_duration":              "block:delay:nanoseconds::",
		"exceptions":                 "exceptions:samples:count::",
	} {
		got, ok := OfText(suffix)
		assert.True(t, ok, suffix)
		assert.Equal(t, want, got.ID.String(), suffix)
		assert.Equal(t, got.ID.Sample.Unit == "nanoseconds" && got.ID.Period.Type == "cpu", got.Time, suffix)
	}
	_, ok := OfText("foo")
	assert.False(t, ok)
}

func TestCutSuffix(t *testing.T) {
	f := func(name, service, suffix string) {
		t.Helper()
		gotService, gotSuffix := CutSuffix(name)
		assert.Equal(t, [2]string{service, suffix}, [2]string{gotService, gotSuffix})
	}
	f("app", "app", "")
	f("app.cpu", "app", "cpu")
	f("my.awesome.app.cpu", "my.awesome.app", "cpu")
	f("app.", "app", "")
}

func TestLabels(t *testing.T) {
	assert.Equal(t, "service.name", Attribute("service_name"))
	assert.Equal(t, "foo_bar", Attribute("foo.bar"))
	assert.Equal(t, "service_name", Label("service.name"))
	assert.Equal(t, "k8s_pod_name", Label("k8s.pod.name"))
}
