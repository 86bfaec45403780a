package jfr

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"
)

// Magic is what recordings begin with.
const Magic = "FLR\x00"

const (
	headerSize = 68
	compressed = 1 // feature: integers have a variable length
)

// Chunk is one of the recordings that a file consists of. Each describes its own
// types and has its own constants. It is not safe for concurrent use.
type Chunk struct {
	// Start is in Unix nanoseconds, Duration in nanoseconds.
	Start, Duration int64

	r                   reader
	ticksPerSecond      uint64
	constantsAt, metaAt uint64
	strings             []string
	classes             map[uint64]*classType
	symbols             map[uint64]string
	classNames          map[uint64]uint64 // symbols
	methods             map[uint64]method
	stacks              map[uint64][]Frame
	states              map[uint64]string
}

// method refers to a class and a symbol.
type method struct{ class, name uint64 }

// Frame is a frame of a stack trace.
type Frame struct {
	// Method is for [Chunk.Method].
	Method uint64
	// Line is 0 where it is not known.
	Line uint32
}

// Stack returns the frames of a stack trace, the innermost first.
func (c *Chunk) Stack(id uint64) (frames []Frame, ok bool) {
	frames, ok = c.stacks[id]
	return frames, ok
}

// Method returns the name of a method and that of its class, with slashes between
// packages. What is not known is empty.
func (c *Chunk) Method(id uint64) (class, name string) {
	m := c.methods[id]
	return c.symbols[c.classNames[m.class]], c.symbols[m.name]
}

// Class returns the name of a class of events, empty if it is not known.
func (c *Chunk) Class(id uint64) string {
	if class := c.classes[id]; class != nil {
		return class.name
	}
	return ""
}

// State returns the name of the state of a thread, empty if it is not known.
func (c *Chunk) State(id uint64) string { return c.states[id] }

// readChunk reads the header, the types and the constants of the first chunk of
// data and returns the rest.
//
// The format is that of JDK 11 and later (version 2), as
// src/jdk.jfr/share/classes/jdk/jfr/internal/consumer of OpenJDK reads it.
func readChunk(data []byte) (*Chunk, []byte, error) {
	if len(data) < headerSize {
		return nil, nil, fmt.Errorf("the header has %d bytes; it must have %d", len(data), headerSize)
	}
	if string(data[:4]) != Magic {
		return nil, nil, fmt.Errorf("the header begins with %q; it must be %q", data[:4], Magic)
	}
	if major := binary.BigEndian.Uint16(data[4:]); major != 2 {
		return nil, nil, fmt.Errorf("the version is %d; only version 2 is known", major)
	}
	if features := binary.BigEndian.Uint32(data[64:]); features&compressed == 0 {
		return nil, nil, fmt.Errorf("the features are %#x; integers of fixed length are not known", features)
	}
	size := binary.BigEndian.Uint64(data[8:])
	if size < headerSize || size > uint64(len(data)) {
		return nil, nil, fmt.Errorf("the chunk says that it has %d bytes; there are %d", size, len(data))
	}
	c := &Chunk{
		r:              reader{data: data[:size:size], budget: valuesPerByte*int(size) + 1024},
		constantsAt:    binary.BigEndian.Uint64(data[16:]),
		metaAt:         binary.BigEndian.Uint64(data[24:]),
		Start:          clampTime(binary.BigEndian.Uint64(data[32:])),
		Duration:       clampTime(binary.BigEndian.Uint64(data[40:])),
		ticksPerSecond: max(binary.BigEndian.Uint64(data[56:]), 1),
		symbols:        make(map[uint64]string),
		classNames:     make(map[uint64]uint64),
		methods:        make(map[uint64]method),
		stacks:         make(map[uint64][]Frame),
		states:         make(map[uint64]string),
	}
	if c.metaAt < headerSize || c.metaAt >= size || c.constantsAt < headerSize || c.constantsAt >= size {
		return nil, nil, fmt.Errorf("metadata and constants are at %d and %d of %d bytes: the recording was not finished", c.metaAt, c.constantsAt, size)
	}
	c.r.pos = int(c.metaAt)
	c.metadata()
	c.constants()
	return c, data[size:], c.r.err
}

func clampTime(v uint64) int64 { return int64(min(v, math.MaxInt64/2)) }

// valuesPerByte is how many values a byte may stand for: structs without fields take
// no bytes at all, and real recordings hardly have any.
const valuesPerByte = 16

// Nanoseconds returns a duration in ticks, 0 if the event has no end.
func (c *Chunk) Nanoseconds(ticks uint64) int64 {
	hi, lo := bits.Mul64(ticks, 1_000_000_000)
	if hi >= c.ticksPerSecond {
		return 0 // longer than time itself: the event has no end
	}
	ns, _ := bits.Div64(hi, lo, c.ticksPerSecond)
	if ns > math.MaxInt64/2 {
		return 0
	}
	return int64(ns)
}

// constants reads the pools: a list of events, each of which says how far away the
// next one is.
func (c *Chunk) constants() {
	r := &c.r
	seen := make(map[int]bool)
	for at := int(c.constantsAt); r.err == nil; {
		if seen[at] {
			r.pos = at
			r.fail("the list of constants has no end")
			return
		}
		seen[at] = true
		r.pos = at
		for range 4 { // size, type, start, duration
			r.long()
		}
		next := int64(r.long())
		r.byte() // what it was flushed for
		for n := r.count(2); n > 0 && r.step(); n-- {
			c.pool()
		}
		if next == 0 {
			return
		}
		if next < -int64(at) || next > int64(len(r.data)-at) {
			r.fail("the next constants are %d bytes away, outside of the chunk", next)
			return
		}
		at += int(next)
	}
}

// pool reads the constants of one type, and keeps those that stacks are made of.
func (c *Chunk) pool() {
	r := &c.r
	id := r.long()
	class := c.classes[id]
	if class == nil {
		r.fail("there are constants of the type %d, which is not described", id)
		return
	}
	for n := r.count(1); n > 0 && r.step(); n-- {
		key := r.long()
		switch class.name {
		case "jdk.types.Symbol":
			c.value(class, 0, func(_ *classType, _ int, _ uint64, text string) { c.symbols[key] = text })
		case "java.lang.Class":
			c.value(class, 0, func(o *classType, i int, v uint64, _ string) {
				if o == class && o.fields[i].name == "name" {
					c.classNames[key] = v
				}
			})
		case "jdk.types.Method":
			c.method(class, key)
		case "jdk.types.ThreadState":
			c.value(class, 0, func(_ *classType, _ int, _ uint64, text string) { c.states[key] = text })
		case "jdk.types.StackTrace":
			c.stackTrace(class, key)
		case "java.lang.String":
			r.string()
		default:
			c.value(class, 0, func(*classType, int, uint64, string) {})
		}
	}
}

func (c *Chunk) method(class *classType, key uint64) {
	var m method
	c.value(class, 0, func(o *classType, i int, v uint64, _ string) {
		switch {
		case o != class:
		case o.fields[i].name == "type":
			m.class = v
		case o.fields[i].name == "name":
			m.name = v
		}
	})
	c.methods[key] = m
}

func (c *Chunk) stackTrace(class *classType, key uint64) {
	var frames []Frame
	c.value(class, 0, func(o *classType, i int, v uint64, _ string) {
		if o.name != "jdk.types.StackFrame" {
			return
		}
		switch o.fields[i].name {
		case "method":
			// It is the first field and takes a byte at least.
			frames = append(frames, Frame{Method: v})
		case "lineNumber":
			if len(frames) > 0 && v < math.MaxInt32 { // native methods have -1
				frames[len(frames)-1].Line = uint32(v)
			}
		}
	})
	c.stacks[key] = frames
}
