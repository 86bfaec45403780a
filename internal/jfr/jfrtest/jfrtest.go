// Package jfrtest writes recordings that are smaller than any that a JVM makes, for
// tests.
package jfrtest

import (
	"encoding/binary"
	"slices"
	"strconv"
)

// HeaderSize is the size of the header of a chunk, whose bytes 8 to 16 are the size of
// the chunk.
const HeaderSize = 68

// Numbers of the classes of events. Their fields are those of types, below.
const (
	ExecutionSample = iota + 9
	MonitorEnter
	Allocation
	InTLAB
	OutsideTLAB
	Sample // an ExecutionSample as async-profiler writes it
	WallClockSample
	ThreadPark
	LiveObject
	Malloc
	ActiveSetting
)

// Types that are no events.
const (
	longType = iota + 1
	stringType
	symbolType
	classType
	methodType
	frameType
	traceType
	stateType
)

type field struct {
	name            string
	typ             int
	constant, array bool
}

var stackField = field{name: "stackTrace", typ: traceType, constant: true}

// asyncFields are those that async-profiler adds.
var asyncFields = []field{
	{name: "state", typ: stateType, constant: true},
	stackField,
	{name: "contextId", typ: longType},
	{name: "spanId", typ: longType},
	{name: "spanName", typ: longType},
	{name: "traceIdHi", typ: longType},
	{name: "traceIdLo", typ: longType},
}

// types describes the types: a name, then the fields.
var types = []struct {
	id     int
	name   string
	fields []field
}{
	{longType, "long", nil},
	{stringType, "java.lang.String", nil},
	{symbolType, "jdk.types.Symbol", []field{{name: "string", typ: stringType}}},
	{classType, "java.lang.Class", []field{{name: "name", typ: symbolType, constant: true}}},
	{methodType, "jdk.types.Method", []field{{name: "type", typ: classType, constant: true}, {name: "name", typ: symbolType, constant: true}}},
	{frameType, "jdk.types.StackFrame", []field{{name: "method", typ: methodType, constant: true}, {name: "lineNumber", typ: longType}}},
	{traceType, "jdk.types.StackTrace", []field{{name: "frames", typ: frameType, array: true}}},
	{stateType, "jdk.types.ThreadState", []field{{name: "name", typ: stringType}}},
	{ExecutionSample, "jdk.ExecutionSample", []field{stackField}},
	{MonitorEnter, "jdk.JavaMonitorEnter", valueAndStack("duration")},
	{Allocation, "jdk.ObjectAllocationSample", valueAndStack("weight")},
	{InTLAB, "jdk.ObjectAllocationInNewTLAB", valueAndStack("tlabSize")},
	{OutsideTLAB, "jdk.ObjectAllocationOutsideTLAB", valueAndStack("allocationSize")},
	{Sample, "jdk.ExecutionSample", asyncFields},
	{WallClockSample, "profiler.WallClockSample", append(slices.Clone(asyncFields), field{name: "samples", typ: longType})},
	{ThreadPark, "jdk.ThreadPark", valueAndStack("duration")},
	{LiveObject, "profiler.LiveObject", []field{stackField}},
	{Malloc, "profiler.Malloc", valueAndStack("size")},
	{ActiveSetting, "jdk.ActiveSetting", []field{{name: "id", typ: longType}, {name: "name", typ: stringType}, {name: "value", typ: stringType}}},
}

func valueAndStack(value string) []field { return []field{{name: value, typ: longType}, stackField} }

// States of threads.
const (
	Runnable = 1
	Sleeping = 2
)

// Event is the number of a class and the values of its fields: int or string.
type Event []any

// Small has one stack of two frames, a sample of it and a wait of 2000 ticks, which
// are nanoseconds.
func Small() []byte { return Of(Event{ExecutionSample, 1}, Event{MonitorEnter, 2000, 1}) }

// Of returns a recording with these events. It has two stacks: number 1 is a/B.c in
// line 7 below a method that is not described, number 2 is a/B.d, below a/B.c.
func Of(events ...Event) []byte {
	return recording(events, func(e *writer) {
		e.long(5)
		e.long(symbolType, 3, 1)
		e.string("a/B")
		e.long(2)
		e.string("c")
		e.long(3)
		e.string("d")
		e.long(classType, 1, 1, 1)
		e.long(methodType, 2, 1, 1, 2, 2, 1, 3)
		e.long(traceType, 2, 1, 2, 1, 7, 9, 0, 2, 2, 2, 3, 1, 4)
		e.long(stateType, 2, Runnable)
		e.string("STATE_RUNNABLE")
		e.long(Sleeping)
		e.string("STATE_SLEEPING")
	})
}

// Wide returns a recording with a sample of each of n stacks of one method. The methods
// have a class and a name in common.
func Wide(n int, class, name string) []byte {
	events := make([]Event, n)
	for i := range events {
		events[i] = Event{ExecutionSample, i + 1}
	}
	return recording(events, func(e *writer) {
		e.long(4)
		e.long(symbolType, 2, 1)
		e.string(class)
		e.long(2)
		e.string(name)
		e.long(classType, 1, 1, 1)
		e.long(methodType, uint64(n))
		for i := range uint64(n) {
			e.long(i+1, 1, 2)
		}
		e.long(traceType, uint64(n))
		for i := range uint64(n) {
			e.long(i+1, 1, i+1, 1)
		}
	})
}

// recording returns a recording with events and the pools that constants writes, after
// their number.
func recording(events []Event, constants func(*writer)) []byte {
	w := &writer{b: make([]byte, HeaderSize)}
	for _, values := range events {
		w.event(func(e *writer) {
			for _, v := range values {
				switch v := v.(type) {
				case int:
					e.long(uint64(v))
				case uint64:
					e.long(v)
				case string:
					e.string(v)
				}
			}
		})
	}
	pools := len(w.b)
	w.event(func(e *writer) {
		e.long(1, 0, 0, 0)
		e.b = append(e.b, 0)
		constants(e)
	})
	meta := len(w.b)
	w.event((*writer).metadata)
	binary.BigEndian.PutUint32(w.b, 0x464c5200)
	binary.BigEndian.PutUint16(w.b[4:], 2)
	for i, v := range []int{len(w.b), pools, meta, 1_700_000_000_000_000_000, 1000, 0, 1_000_000_000} {
		binary.BigEndian.PutUint64(w.b[8+8*i:], uint64(v))
	}
	binary.BigEndian.PutUint32(w.b[64:], 1) // integers have a variable length
	return w.b
}

type writer struct{ b []byte }

func (w *writer) long(values ...uint64) {
	for _, v := range values {
		for n := 0; n < 8 && v >= 0x80; n++ {
			w.b = append(w.b, byte(v)|0x80)
			v >>= 7
		}
		w.b = append(w.b, byte(v))
	}
}

func (w *writer) string(s string) {
	const utf8Bytes = 3
	w.b = append(w.b, utf8Bytes)
	w.long(uint64(len(s)))
	w.b = append(w.b, s...)
}

// event writes what write writes with its size before it.
func (w *writer) event(write func(*writer)) {
	var body, size writer
	write(&body)
	for n := 1; len(size.b) != n; {
		n = max(n, len(size.b))
		size.b = nil
		size.long(uint64(len(body.b) + n))
	}
	w.b = slices.Concat(w.b, size.b, body.b)
}

func (w *writer) metadata() {
	var texts []string
	text := func(s string) uint64 {
		i := slices.Index(texts, s)
		if i < 0 {
			i = len(texts)
			texts = append(texts, s)
		}
		return uint64(i)
	}
	var tree writer
	tree.long(text("root"), 0, 1, text("metadata"), 0, uint64(len(types)))
	for _, t := range types {
		tree.long(text("class"), 2, text("id"), text(strconv.Itoa(t.id)), text("name"), text(t.name), uint64(len(t.fields)))
		for _, f := range t.fields {
			attributes := []uint64{text("name"), text(f.name), text("class"), text(strconv.Itoa(int(f.typ)))}
			if f.constant {
				attributes = append(attributes, text("constantPool"), text("true"))
			}
			if f.array {
				attributes = append(attributes, text("dimension"), text("1"))
			}
			tree.long(text("field"), uint64(len(attributes)/2))
			tree.long(attributes...)
			tree.long(0)
		}
	}
	w.long(0, 0, 0, 1, uint64(len(texts)))
	for _, t := range texts {
		w.string(t)
	}
	w.b = append(w.b, tree.b...)
}
