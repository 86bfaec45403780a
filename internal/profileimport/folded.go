package profileimport

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"

	pprof "github.com/google/pprof/profile"

	"github.com/aperture-collector/aperture-collector/internal/profile"
)

// maxFoldedFrames bounds the frames of one line.
const maxFoldedFrames = 2048

// Folded decodes folded stacks: one on each line, frames from the outermost to the
// innermost parted by `;`, a space and a whole number. kind says what the numbers
// are, of our own kinds their first sample type; empty is cpu. Names like 0x4f2
// are addresses. Empty lines and those that begin with # are left out.
func Folded(data []byte, kind string) (*pprof.Profile, error) {
	b := newPprofBuilder(foldedType(kind))
	number := 0
	for line := range bytes.Lines(data) {
		number++
		text := strings.TrimSpace(strings.ToValidUTF8(string(line), "\ufffd"))
		if text == "" || text[0] == '#' {
			continue
		}
		space := strings.LastIndexByte(text, ' ')
		if space < 0 {
			return nil, fmt.Errorf("decode folded stacks: line %d has no number at its end", number)
		}
		value, err := strconv.ParseInt(text[space+1:], 10, 64)
		if err != nil || value < 0 || value > profile.MaxValue {
			return nil, fmt.Errorf("decode folded stacks: line %d ends with %q; it must be a whole number from 0 to 2^56", number, shorten(text[space+1:]))
		}
		frames := strings.Split(strings.TrimSpace(text[:space]), ";")
		if len(frames) > maxFoldedFrames {
			return nil, fmt.Errorf("decode folded stacks: line %d has %d frames; the limit is %d", number, len(frames), maxFoldedFrames)
		}
		if !b.folded(frames, value) {
			return nil, fmt.Errorf("decode folded stacks: at line %d the values of its stack add up to more than %d (2^56), the largest that a sample may have", number, int64(profile.MaxValue))
		}
	}
	if len(b.p.Sample) == 0 {
		return nil, fmt.Errorf("decode folded stacks: there is no stack")
	}
	return b.p, nil
}

func foldedType(kind string) (string, profile.ValueType) {
	if kind == "" {
		kind = profile.KindCPU
	}
	if own := profile.Types(kind); own != nil {
		return kind, own[0]
	}
	return kind, profile.ValueType{Type: kind, Unit: "count"}
}

func shorten(s string) string {
	if len(s) > 32 {
		return strings.ToValidUTF8(s[:32], "") + "…"
	}
	return s
}

// pprofBuilder makes a profile with every function, location and stack once.
type pprofBuilder struct {
	p         *pprof.Profile
	functions map[string]*pprof.Function
	locations map[locationKey]*pprof.Location
	samples   map[string]*pprof.Sample
	key       []byte
	stack     []*pprof.Location
}

type locationKey struct {
	function string
	address  uint64
	line     int64
}

func newPprofBuilder(kind string, types ...profile.ValueType) *pprofBuilder {
	b := &pprofBuilder{
		p:         &pprof.Profile{},
		functions: make(map[string]*pprof.Function),
		locations: make(map[locationKey]*pprof.Location),
		samples:   make(map[string]*pprof.Sample),
	}
	for _, t := range types {
		b.p.SampleType = append(b.p.SampleType, &pprof.ValueType{Type: t.Type, Unit: t.Unit})
	}
	if kind == profile.KindCPU {
		b.p.PeriodType = &pprof.ValueType{Type: "cpu", Unit: "nanoseconds"}
	}
	return b
}

// folded adds a stack, outermost frame first, unless its sum would be too large.
func (b *pprofBuilder) folded(frames []string, value int64) bool {
	b.stack = b.stack[:0]
	for i := len(frames) - 1; i >= 0; i-- {
		k := locationKey{function: frames[i]}
		if digits, ok := strings.CutPrefix(k.function, "0x"); ok {
			if address, err := strconv.ParseUint(digits, 16, 64); err == nil {
				k = locationKey{address: address}
			}
		}
		b.stack = append(b.stack, b.location(k))
	}
	s := b.sample(b.stack)
	s.Value[0] = profile.Add(s.Value[0], value)
	return s.Value[0] <= profile.MaxValue
}

func (b *pprofBuilder) location(k locationKey) *pprof.Location {
	l := b.locations[k]
	if l == nil {
		l = &pprof.Location{ID: uint64(len(b.p.Location) + 1), Address: k.address}
		if k.function != "" {
			l.Line = []pprof.Line{{Function: b.function(k.function), Line: k.line}}
		}
		b.p.Location = append(b.p.Location, l)
		b.locations[k] = l
	}
	return l
}

func (b *pprofBuilder) function(name string) *pprof.Function {
	f := b.functions[name]
	if f == nil {
		f = &pprof.Function{ID: uint64(len(b.p.Function) + 1), Name: name}
		b.p.Function = append(b.p.Function, f)
		b.functions[name] = f
	}
	return f
}

// sample returns the sample of a stack, leaf first, which is not kept.
func (b *pprofBuilder) sample(stack []*pprof.Location) *pprof.Sample {
	b.key = b.key[:0]
	for _, l := range stack {
		b.key = append(b.key, byte(l.ID), byte(l.ID>>8), byte(l.ID>>16), byte(l.ID>>24))
	}
	s := b.samples[string(b.key)]
	if s == nil {
		s = &pprof.Sample{Location: append([]*pprof.Location(nil), stack...), Value: make([]int64, len(b.p.SampleType))}
		b.p.Sample = append(b.p.Sample, s)
		b.samples[string(b.key)] = s
	}
	return s
}
