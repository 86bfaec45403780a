package profileimport

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"

	"github.com/aperture-collector/aperture-collector/internal/pprofwire"
	"github.com/aperture-collector/aperture-collector/internal/profile"
)

// maxFoldedFrames bounds the frames of one line.
const maxFoldedFrames = 2048

// Folded decodes folded stacks: one on each line, frames from the outermost to the
// innermost parted by `;`, a space and a whole number. kind says what the numbers
// are, of our own kinds their first sample type; empty is cpu. Names like 0x4f2
// are addresses. Empty lines and those that begin with # are left out.
func Folded(data []byte, kind string) (*pprofwire.Profile, error) {
	b := newBuilder(foldedType(kind))
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
	if len(b.order) == 0 {
		return nil, fmt.Errorf("decode folded stacks: there is no stack")
	}
	p, err := b.profile()
	if err != nil {
		return nil, fmt.Errorf("decode folded stacks: %w", err)
	}
	return p, nil
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

// folded adds a stack, outermost frame first, unless its sum would be too large.
func (b *builder) folded(frames []string, value int64) bool {
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
	s.values[0] = profile.Add(s.values[0], value)
	return s.values[0] <= profile.MaxValue
}
