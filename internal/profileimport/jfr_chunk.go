package profileimport

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"
)

const (
	jfrMagic      = "FLR\x00"
	jfrHeaderSize = 68
	jfrCompressed = 1 // feature: integers have a variable length
)

// jfrChunk is one of the recordings that a file consists of. Each describes its own
// types and has its own constants.
type jfrChunk struct {
	r                   jfrReader
	start, duration     int64 // Unix nanoseconds, nanoseconds
	ticksPerSecond      uint64
	constantsAt, metaAt uint64
	strings             []string
	classes             map[uint64]*jfrClass
	symbols             map[uint64]string
	classNames          map[uint64]uint64 // symbols
	methods             map[uint64]jfrMethod
	stacks              map[uint64][]jfrFrame
	states              map[uint64]string
	locations           map[jfrFrame]locationKey
	samples             map[jfrSampleKey]*sample
}

// jfrSampleKey is a stack trace of a chunk.
type jfrSampleKey struct {
	kind  string
	stack uint64
}

// jfrMethod refers to a class and a symbol.
type jfrMethod struct{ class, name uint64 }

type jfrFrame struct {
	method uint64
	line   uint32
}

// readChunk reads the header, the types and the constants of the first chunk of
// data and returns the rest.
//
// The format is that of JDK 11 and later (version 2), as
// src/jdk.jfr/share/classes/jdk/jfr/internal/consumer of OpenJDK reads it.
func readChunk(data []byte) (*jfrChunk, []byte, error) {
	if len(data) < jfrHeaderSize {
		return nil, nil, fmt.Errorf("the header has %d bytes; it must have %d", len(data), jfrHeaderSize)
	}
	if string(data[:4]) != jfrMagic {
		return nil, nil, fmt.Errorf("the header begins with %q; it must be %q", data[:4], jfrMagic)
	}
	if major := binary.BigEndian.Uint16(data[4:]); major != 2 {
		return nil, nil, fmt.Errorf("the version is %d; only version 2 is known", major)
	}
	if features := binary.BigEndian.Uint32(data[64:]); features&jfrCompressed == 0 {
		return nil, nil, fmt.Errorf("the features are %#x; integers of fixed length are not known", features)
	}
	size := binary.BigEndian.Uint64(data[8:])
	if size < jfrHeaderSize || size > uint64(len(data)) {
		return nil, nil, fmt.Errorf("the chunk says that it has %d bytes; there are %d", size, len(data))
	}
	c := &jfrChunk{
		r:              jfrReader{data: data[:size:size], budget: 16*int(size) + 1024},
		constantsAt:    binary.BigEndian.Uint64(data[16:]),
		metaAt:         binary.BigEndian.Uint64(data[24:]),
		start:          clampTime(binary.BigEndian.Uint64(data[32:])),
		duration:       clampTime(binary.BigEndian.Uint64(data[40:])),
		ticksPerSecond: max(binary.BigEndian.Uint64(data[56:]), 1),
		symbols:        make(map[uint64]string),
		classNames:     make(map[uint64]uint64),
		methods:        make(map[uint64]jfrMethod),
		stacks:         make(map[uint64][]jfrFrame),
		states:         make(map[uint64]string),
		locations:      make(map[jfrFrame]locationKey),
		samples:        make(map[jfrSampleKey]*sample),
	}
	if c.metaAt < jfrHeaderSize || c.metaAt >= size || c.constantsAt < jfrHeaderSize || c.constantsAt >= size {
		return nil, nil, fmt.Errorf("metadata and constants are at %d and %d of %d bytes: the recording was not finished", c.metaAt, c.constantsAt, size)
	}
	c.r.pos = int(c.metaAt)
	c.metadata()
	c.constants()
	return c, data[size:], c.r.err
}

func clampTime(v uint64) int64 { return int64(min(v, math.MaxInt64/2)) }

// nanoseconds returns a duration in ticks.
func (c *jfrChunk) nanoseconds(ticks uint64) int64 {
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
func (c *jfrChunk) constants() {
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
func (c *jfrChunk) pool() {
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
			c.value(class, 0, func(_ *jfrClass, _ int, _ uint64, text string) { c.symbols[key] = text })
		case "java.lang.Class":
			c.value(class, 0, func(o *jfrClass, i int, v uint64, _ string) {
				if o == class && o.fields[i].name == "name" {
					c.classNames[key] = v
				}
			})
		case "jdk.types.Method":
			c.method(class, key)
		case "jdk.types.ThreadState":
			c.value(class, 0, func(_ *jfrClass, _ int, _ uint64, text string) { c.states[key] = text })
		case "jdk.types.StackTrace":
			c.stackTrace(class, key)
		case "java.lang.String":
			r.string()
		default:
			c.value(class, 0, func(*jfrClass, int, uint64, string) {})
		}
	}
}

func (c *jfrChunk) method(class *jfrClass, key uint64) {
	var m jfrMethod
	c.value(class, 0, func(o *jfrClass, i int, v uint64, _ string) {
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

func (c *jfrChunk) stackTrace(class *jfrClass, key uint64) {
	var frames []jfrFrame
	c.value(class, 0, func(o *jfrClass, i int, v uint64, _ string) {
		if o.name != "jdk.types.StackFrame" {
			return
		}
		if i == 0 {
			frames = append(frames, jfrFrame{})
		}
		if len(frames) == 0 {
			return // its first field takes no bytes
		}
		switch last := &frames[len(frames)-1]; o.fields[i].name {
		case "method":
			last.method = v
		case "lineNumber":
			if v < math.MaxInt32 { // native methods have -1
				last.line = uint32(v)
			}
		}
	})
	c.stacks[key] = frames
}
