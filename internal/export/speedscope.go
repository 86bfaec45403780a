package export

import (
	"io"

	"github.com/aperture-collector/aperture-collector/internal/flame"
	"github.com/aperture-collector/aperture-collector/internal/profile"
)

// WriteSpeedscope writes p in speedscope's file format,
// https://www.speedscope.app/file-format-schema.json: one profile of the form
// `sampled` for each sample type, with one sample for each stack, largest first.
// Frames are one where name, file and start line of their functions are. What was
// observed without a stack is left out.
//
// It stops at the first error of w and returns it.
func WriteSpeedscope(w io.Writer, p *Profile) error {
	e := speedscopeEncoder{
		out: jsonWriter{w: w}, p: p,
		byFrame: make(map[*profile.Frame]int32), byContent: make(map[speedscopeFrame]int32),
	}
	e.out.raw(`{"$schema":"https://www.speedscope.app/file-format-schema.json","exporter":"aperture-collector"`)
	e.out.keyString("name", p.Kind.Kind)
	e.out.raw(`,"activeProfileIndex":0,"profiles":[`)
	first := true
	for v, t := range p.types() {
		e.out.comma(&first)
		if e.profile(v, t); e.out.err != nil {
			return e.out.err
		}
	}
	e.out.raw(`],"shared":{"frames":[`)
	first = true
	for i := range e.frames {
		e.out.comma(&first)
		e.frame(&e.frames[i])
	}
	e.out.raw("]}}\n")
	return e.out.flush()
}

type speedscopeEncoder struct {
	out jsonWriter
	p   *Profile
	// frames are those met so far, by content and by identity.
	frames    []speedscopeFrame
	byContent map[speedscopeFrame]int32
	byFrame   map[*profile.Frame]int32
}

type speedscopeFrame struct {
	name, file string
	line       int64
}

func (e *speedscopeEncoder) profile(v int, t profile.ValueType) {
	e.out.raw(`{"type":"sampled"`)
	e.out.keyString("name", e.p.Kind.Kind+" "+t.Type)
	e.out.keyString("unit", speedscopeUnit(t.Unit))
	e.out.raw(`,"startValue":0`)
	e.out.raw(`,"samples":[`)
	first := true
	var sum int64
	e.rows(v, func(frames []*profile.Frame, value int64) {
		sum = profile.Add(sum, value)
		e.out.comma(&first)
		e.stack(frames)
	})
	e.out.raw(`],"weights":[`)
	first = true
	e.rows(v, func(_ []*profile.Frame, value int64) {
		e.out.comma(&first)
		e.out.int(value)
	})
	e.out.raw(`]`)
	e.out.keyInt("endValue", sum)
	e.out.raw(`}`)
}

// rows calls f for every row with a stack and a value of type v.
func (e *speedscopeEncoder) rows(v int, f func([]*profile.Frame, int64)) {
	for i := range e.p.Kind.Rows {
		row := &e.p.Kind.Rows[i]
		if frames := e.p.frames(row); len(frames) > 0 && row.Values[v] != 0 && e.out.err == nil {
			f(frames, row.Values[v])
		}
	}
}

// stack writes a stack, outermost frame first.
func (e *speedscopeEncoder) stack(frames []*profile.Frame) {
	e.out.raw("[")
	for i := len(frames) - 1; i >= 0; i-- {
		e.out.int(int64(e.number(frames[i])))
		if i > 0 {
			e.out.raw(",")
		}
	}
	e.out.raw("]")
}

func (e *speedscopeEncoder) number(f *profile.Frame) int32 {
	if n, ok := e.byFrame[f]; ok {
		return n
	}
	content := speedscopeFrame{flame.Name(f), f.Function.Filename, f.Function.StartLine}
	if f.Function.IsZero() {
		content.file = f.Mapping
	}
	n, ok := e.byContent[content]
	if !ok {
		n = int32(len(e.frames))
		e.frames = append(e.frames, content)
		e.byContent[content] = n
	}
	e.byFrame[f] = n
	return n
}

func (e *speedscopeEncoder) frame(f *speedscopeFrame) {
	e.out.raw(`{"name":`)
	e.out.string(f.name)
	if f.file != "" {
		e.out.keyString("file", f.file)
	}
	if f.line > 0 {
		e.out.keyInt("line", f.line)
	}
	e.out.raw("}")
}

// speedscopeUnit returns one of the units that speedscope knows.
func speedscopeUnit(unit string) string {
	switch unit {
	case "nanoseconds", "microseconds", "milliseconds", "seconds", "bytes":
		return unit
	}
	return "none"
}
