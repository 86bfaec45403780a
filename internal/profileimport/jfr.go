package profileimport

import (
	"fmt"
	"strconv"
	"strings"
	"time"

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
	number := 0
	for rest := data; len(rest) > 0; number++ {
		c, after, err := readChunk(rest)
		if err == nil {
			d.times(c)
			err = d.events(c)
		}
		if err != nil {
			return nil, fmt.Errorf("decode JFR: chunk %d: %w", number, err)
		}
		rest = after
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
}

func (d *jfrDecoder) times(c *jfrChunk) {
	if d.start == 0 || c.start < d.start {
		d.start = c.start
	}
	d.end = max(d.end, c.start+c.duration)
}

// events reads all events of a chunk.
func (d *jfrDecoder) events(c *jfrChunk) error {
	r := &c.r
	r.pos = jfrHeaderSize
	for r.err == nil && r.pos < len(r.data) && r.step() {
		first := r.pos
		size := r.long()
		if r.err == nil && (size < uint64(r.pos-first) || size > uint64(len(r.data)-first) || size == 0) {
			r.fail("an event has the size %d; there are %d bytes", size, len(r.data)-first)
		}
		if r.err != nil {
			break
		}
		end := first + int(size)
		if class := c.classes[r.long()]; class != nil {
			if what, ok := jfrEvents[class.name]; ok {
				d.event(c, class, what.kind, what.value)
			} else if class.name == "jdk.ActiveSetting" {
				d.setting(c, class)
			}
		}
		if r.pos > end {
			r.fail("an event is longer than the %d bytes it says", size)
		}
		r.pos = end
	}
	return r.err
}

func (d *jfrDecoder) event(c *jfrChunk, class *jfrClass, kind, valueField string) {
	value, state := uint64(0), ""
	key := jfrSampleKey{kind: kind}
	c.value(class, 0, func(o *jfrClass, i int, v uint64, _ string) {
		if o != class {
			return
		}
		switch o.fields[i].name {
		case "stackTrace":
			key.stack = v
		case "state":
			state = c.states[v]
		case valueField:
			value = v
		}
	})
	if c.r.err != nil || state == "STATE_SLEEPING" {
		return
	}
	s := c.samples[key]
	if s == nil {
		s = d.sample(c, key)
		c.samples[key] = s
	}
	switch {
	case kind == profile.KindCPU:
		s.values[0]++
	case kind == kindAlloc || kind == kindTLAB:
		s.values[0] = profile.Bounded(profile.Add(s.values[0], int64(min(value, 1<<50))))
	default:
		s.values[0] = profile.Bounded(profile.Add(s.values[0], c.nanoseconds(value)))
		s.values[1]++
	}
}

// sample returns the sample of a stack.
func (d *jfrDecoder) sample(c *jfrChunk, key jfrSampleKey) *sample {
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
	for _, f := range c.stacks[key.stack] {
		d.stack = append(d.stack, b.location(c.location(f)))
	}
	return b.sample(d.stack)
}

// setting reads how often the CPU was sampled.
func (d *jfrDecoder) setting(c *jfrChunk, class *jfrClass) {
	var id uint64
	var name, value string
	c.value(class, 0, func(o *jfrClass, i int, v uint64, text string) {
		switch o.fields[i].name {
		case "id":
			id = v
		case "name":
			name = text
		case "value":
			value = text
		}
	})
	if of := c.classes[id]; of == nil || of.name != "jdk.ExecutionSample" || name != "period" {
		return
	}
	if period, err := time.ParseDuration(strings.ReplaceAll(value, " ", "")); err == nil && period > 0 {
		d.period = int64(period)
	}
}

// location returns a frame by name.
func (c *jfrChunk) location(f jfrFrame) locationKey {
	k, ok := c.locations[f]
	if !ok {
		m := c.methods[f.method]
		class := strings.ReplaceAll(c.symbols[c.classNames[m.class]], "/", ".")
		k = locationKey{function: class + "." + c.symbols[m.name], line: int64(f.line)}
		if k.function == "." {
			k.function = "method " + strconv.FormatUint(f.method, 10)
		}
		c.locations[f] = k
	}
	return k
}
