package aperturereceiver

import (
	"strings"

	"github.com/aperture-collector/aperture-collector/internal/aperturewire"
	"github.com/aperture-collector/aperture-collector/internal/profile"
)

// symbolizer turns encoded stacks into stacks of the dictionary.
type symbolizer struct {
	b         *profile.Builder
	frames    map[frameKey]int32 // locations; aliases the payload
	locations []int32            // of the stack at hand

	// interned holds strings that came in earlier pushes too, so that equal
	// strings of many batches in memory are one.
	interned map[string]string
	size     int
}

// Bounds of the interned strings.
const (
	maxInterned     = 1 << 15
	maxInternedSize = 4 << 20
)

type frameKey struct {
	frame  aperturewire.Frame
	kernel bool
}

func newSymbolizer() symbolizer {
	return symbolizer{frames: make(map[frameKey]int32), interned: make(map[string]string)}
}

// reset forgets all but the interned strings.
func (s *symbolizer) reset(b *profile.Builder) {
	s.b = b
	clear(s.frames)
}

// intern returns a string equal to text that does not alias the payload.
func (s *symbolizer) intern(text string) string {
	if known, ok := s.interned[text]; ok {
		return known
	}
	if len(s.interned) >= maxInterned || s.size+len(text) > maxInternedSize {
		clear(s.interned)
		s.size = 0
	}
	text = strings.Clone(text)
	s.interned[text] = text
	s.size += len(text)
	return text
}

// stack returns the index of the stack of an event: leaf first, which puts the
// frames of the kernel before those of the process.
func (s *symbolizer) stack(ev *aperturewire.Event) int32 {
	s.locations = s.locations[:0]
	switch ev.Kind {
	case aperturewire.KindCPU:
		s.append(ev.Kernel, func(uint64) bool { return true }, true)
		s.append(ev.User, func(uint64) bool { return true }, false)
	case aperturewire.KindLock:
		// One list holds both halves, user frames first.
		s.append(ev.User, isKernel, true)
		s.append(ev.User, isUser, false)
	case aperturewire.KindGPU:
		if ev.KernelName != "" {
			f := s.b.Function(profile.Function{Name: s.intern(ev.KernelName)})
			s.locations = append(s.locations, s.b.Location(0, 0, "", profile.Line{Function: f}))
		}
	}
	return s.b.Stack(s.locations)
}

func isKernel(address uint64) bool { return address >= aperturewire.KernelStart }

func isUser(address uint64) bool { return !isKernel(address) }

// append adds the frames whose address is wanted.
func (s *symbolizer) append(stack aperturewire.Stack, want func(uint64) bool, kernel bool) {
	it := stack.Frames()
	for f := (aperturewire.Frame{}); it.Next(&f); {
		if !want(f.Address) {
			continue
		}
		key := frameKey{frame: f, kernel: kernel}
		loc, ok := s.frames[key]
		if !ok {
			loc = s.location(&f, kernel)
			s.frames[key] = loc
		}
		s.locations = append(s.locations, loc)
	}
}

// location returns the location of a frame. One that the agent could not resolve
// has an address and no line. What kind of code a user frame is in is not known.
func (s *symbolizer) location(f *aperturewire.Frame, kernel bool) int32 {
	var function, module, frameType string
	if f.Resolved {
		function, module = aperturewire.SplitSymbol(f.Symbol)
	}
	if kernel {
		frameType = profile.FrameKernel
		if module == "" {
			module = profile.KernelMapping
		}
	}
	var mapping int32
	if module != "" {
		mapping = s.b.Mapping(profile.Mapping{Filename: s.intern(module)})
	}
	if function == "" {
		return s.b.Location(mapping, f.Address, frameType)
	}
	fn := s.b.Function(profile.Function{Name: s.intern(function)})
	return s.b.Location(mapping, f.Address, frameType, profile.Line{Function: fn})
}
