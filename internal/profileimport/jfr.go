package profileimport

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/aperture-collector/aperture-collector/internal/jfr"
	"github.com/aperture-collector/aperture-collector/internal/pprofwire"
	"github.com/aperture-collector/aperture-collector/internal/profile"
)

// JFR decodes a recording of Java Flight Recorder: a profile each for what it has of
//
//   - cpu: jdk.ExecutionSample, but for threads that sleep, one sample each;
//   - lock: jdk.JavaMonitorEnter, the wait for the monitor;
//   - off_cpu: jdk.ThreadPark, jdk.JavaMonitorWait and jdk.ThreadSleep;
//   - alloc_space: jdk.ObjectAllocationSample, the bytes they stand for; in recordings
//     without any, jdk.ObjectAllocationInNewTLAB and jdk.ObjectAllocationOutsideTLAB.
//
// Other events are left out. Frames are `class.method` with the line.
func JFR(data []byte) ([]*pprofwire.Profile, error) {
	d := &jfrDecoder{builders: make(map[string]*builder)}
	if err := jfr.Read(data, d); err != nil {
		return nil, err
	}
	var all []*pprofwire.Profile
	kinds := []string{profile.KindCPU, profile.KindLock, profile.KindOffCPU, kindAlloc}
	if d.builders[kindAlloc] == nil {
		kinds[3] = kindTLAB
	}
	for _, kind := range kinds {
		if b := d.builders[kind]; b != nil {
			b.start, b.duration = d.start, d.end-d.start
			if kind == profile.KindCPU {
				b.period = d.period
			}
			p, err := b.profile()
			if err != nil {
				return nil, fmt.Errorf("decode JFR: %w", err)
			}
			all = append(all, p)
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("decode JFR: the recording has no samples of CPU, locks, waits or allocations")
	}
	return all, nil
}

const (
	kindAlloc = "alloc_space"
	// kindTLAB is alloc_space of the events of buffers of threads. They are of the same
	// allocations that jdk.ObjectAllocationSample samples.
	kindTLAB = "alloc_space of TLAB"
)

// jfrEvents says which events are read: the kind that they make, and the field with
// the value. Without a field, each counts as 1.
var jfrEvents = map[string]struct{ kind, value string }{
	"jdk.ExecutionSample":             {profile.KindCPU, ""},
	"jdk.JavaMonitorEnter":            {profile.KindLock, "duration"},
	"jdk.ThreadPark":                  {profile.KindOffCPU, "duration"},
	"jdk.JavaMonitorWait":             {profile.KindOffCPU, "duration"},
	"jdk.ThreadSleep":                 {profile.KindOffCPU, "duration"},
	"jdk.ObjectAllocationInNewTLAB":   {kindTLAB, "tlabSize"},
	"jdk.ObjectAllocationOutsideTLAB": {kindTLAB, "allocationSize"},
	"jdk.ObjectAllocationSample":      {kindAlloc, "weight"},
}

type jfrDecoder struct {
	builders   map[string]*builder
	start, end int64
	period     int64
	stack      []uint64

	// Of the chunk.
	locations map[jfr.Frame]locationKey
	samples   map[jfrSampleKey]*sample
}

// jfrSampleKey is a stack trace of a chunk.
type jfrSampleKey struct {
	kind  string
	stack uint64
}

const jfrSetting = "jdk.ActiveSetting"

// Wants implements [jfr.Handler].
func (d *jfrDecoder) Wants(class string) bool {
	_, ok := jfrEvents[class]
	return ok || class == jfrSetting
}

// Chunk implements [jfr.Handler].
func (d *jfrDecoder) Chunk(c *jfr.Chunk) {
	if d.start == 0 || c.Start < d.start {
		d.start = c.Start
	}
	d.end = max(d.end, c.Start+c.Duration)
	d.locations, d.samples = make(map[jfr.Frame]locationKey), make(map[jfrSampleKey]*sample)
}

// Event implements [jfr.Handler].
func (d *jfrDecoder) Event(c *jfr.Chunk, e *jfr.Event) error {
	if e.Class == jfrSetting {
		d.setting(c, e)
		return nil
	}
	if c.State(e.Number("state")) == "STATE_SLEEPING" {
		return nil
	}
	what := jfrEvents[e.Class]
	key := jfrSampleKey{what.kind, e.Number("stackTrace")}
	s := d.samples[key]
	if s == nil {
		s = d.sample(c, key)
		d.samples[key] = s
	}
	value := e.Number(what.value)
	switch {
	case what.kind == profile.KindCPU:
		s.values[0]++
	case what.kind == kindAlloc || what.kind == kindTLAB:
		s.values[0] = profile.Bounded(profile.Add(s.values[0], int64(min(value, 1<<50))))
	default:
		s.values[0] = profile.Bounded(profile.Add(s.values[0], c.Nanoseconds(value)))
		s.values[1]++
	}
	return nil
}

// sample returns the sample of a stack.
func (d *jfrDecoder) sample(c *jfr.Chunk, key jfrSampleKey) *sample {
	b := d.builders[key.kind]
	if b == nil {
		types := profile.Types(key.kind)
		if types == nil {
			types = []profile.ValueType{{Type: kindAlloc, Unit: "bytes"}}
		}
		b = newBuilder(key.kind, types...)
		d.builders[key.kind] = b
	}
	d.stack = d.stack[:0]
	frames, _ := c.Stack(key.stack)
	for _, f := range frames {
		d.stack = append(d.stack, b.location(d.location(c, f)))
	}
	return b.sample(d.stack)
}

// setting reads how often the CPU was sampled.
func (d *jfrDecoder) setting(c *jfr.Chunk, e *jfr.Event) {
	if c.Class(e.Number("id")) != "jdk.ExecutionSample" || e.Text("name") != "period" {
		return
	}
	period, err := time.ParseDuration(strings.ReplaceAll(e.Text("value"), " ", ""))
	if err == nil && period > 0 {
		d.period = int64(period)
	}
}

// location returns a frame by name.
func (d *jfrDecoder) location(c *jfr.Chunk, f jfr.Frame) locationKey {
	k, ok := d.locations[f]
	if !ok {
		class, name := c.Method(f.Method)
		k = locationKey{function: strings.ReplaceAll(class, "/", ".") + "." + name, line: int64(f.Line)}
		if k.function == "." {
			k.function = "method " + strconv.FormatUint(f.Method, 10)
		}
		d.locations[f] = k
	}
	return k
}
