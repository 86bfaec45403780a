package typemap

import (
	"strings"

	"github.com/aperture-collector/aperture-collector/internal/profile"
)

// Text is what profiles in a text format are.
type Text struct {
	ID ID
	// Time says that the numbers count samples, and that the value is the time
	// between two of them for each.
	Time bool
}

var texts = textTypes()

func textTypes() map[string]Text {
	cpu := Text{ID: ID{NameCPU, profile.CPUTime, profile.CPUTime}, Time: true}
	wall := Text{ID: ID{"wall", profile.ValueType{Type: "wall", Unit: "nanoseconds"}, profile.CPUTime}, Time: true}
	all := map[string]Text{"": cpu, "cpu": cpu, "itimer": cpu}
	for _, s := range []string{"wall", "seconds", "nanoseconds", "microseconds", "milliseconds"} {
		all[s] = wall
	}
	add := func(name, typ, unit string, suffixes ...string) {
		for _, s := range suffixes {
			t := typ
			if t == "" {
				t = s
			}
			all[s] = Text{ID: ID{Name: name, Sample: profile.ValueType{Type: t, Unit: unit}}}
		}
	}
	add("memory", "", "count", "inuse_objects", "alloc_objects", "live", "alloc_in_new_tlab_objects", "alloc_outside_tlab_objects")
	add("memory", "", "bytes", "inuse_space", "alloc_space", "alloc_in_new_tlab_bytes", "alloc_outside_tlab_bytes")
	add("memory", "samples", "bytes", "bytes")
	add("goroutine", "goroutines", "count", "goroutines")
	add("mutex", "contentions", "count", "mutex_count")
	add("mutex", "delay", "nanoseconds", "mutex_duration")
	add("block", "contentions", "count", "block_count", "lock_count")
	add("block", "delay", "nanoseconds", "block_duration", "lock_duration")
	add("exceptions", "samples", "count", "exceptions")
	return all
}

// OfText says what profiles in a text format are by what follows the last dot of
// the application's name, which may be empty.
func OfText(suffix string) (Text, bool) {
	t, ok := texts[suffix]
	return t, ok
}

// CutSuffix parts the name of an application from what follows its last dot, which
// is empty if there is no dot.
func CutSuffix(application string) (service, suffix string) {
	i := strings.LastIndexByte(application, '.')
	if i < 0 {
		return application, ""
	}
	return application[:i], application[i+1:]
}
