package pprofwire

import (
	"encoding/hex"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pprofile"

	"github.com/aperture-collector/aperture-collector/internal/profile"
)

// Options say what a profile does not, and what a receiver knows of the programs
// that send to it. Those that are nil change nothing. Functions get strings that are
// valid as long as the profile; they are called in no particular order and, where
// they depend on their arguments alone, not for each sample.
type Options struct {
	// Kind is the kind of profile, empty for what its sample types say, see
	// [Profile.Columns].
	Kind string
	// Time is the start of profiles that have none.
	Time time.Time
	// Label says what becomes of the labels of a key, those with a text and those
	// with a number each for themselves.
	Label func(key string, isNumber bool) LabelUse
	// Function returns the name of a function that a profile calls name and that is
	// in a source file.
	Function func(name, file string) string
	// LabelName returns the name of the attribute that the labels of a key become.
	LabelName func(key string) string
	// Keep reports whether a sample is to be kept.
	Keep func(Sample) bool
	// MaxDepth cuts stacks to so many frames, inlined ones included, and
	// MaxStringLength strings to so many bytes, 0 leaves them. Of stacks the root part
	// is kept, of strings the end.
	MaxDepth, MaxStringLength int
	// MaxComments is how many bytes the comments of a profile may have together (see
	// [Profile.CommentsSize]) to be kept as the attribute [profile.AttrComment]. More are
	// left out: it is one of the series, which would be as many as different comments.
	MaxComments int
}

// LabelUse says what becomes of a label.
type LabelUse uint8

const (
	// OfSample makes the label an attribute of the sample.
	OfSample LabelUse = iota
	// OfSeries makes it an attribute of the profile, so that it is one of the series:
	// samples with other values go to a profile of their own.
	OfSeries
	// OfSpan makes it the span of the sample's link, if its text is the 16 hexadecimal
	// digits of one. Otherwise it is left out.
	OfSpan
	// OfTrace makes it the trace of the sample's link, if its text is the 32
	// hexadecimal digits of one. Otherwise it is left out.
	OfTrace
	// Dropped leaves it out.
	Dropped
)

// maxSeries bounds the sets of labels of the series: each makes profiles of its own,
// which take much more memory than the labels do.
const maxSeries = 4096

// use returns what becomes of a label.
func (c *Converter) use(l Label) LabelUse {
	at := 2 * int(l.Key)
	if l.Str == 0 {
		at++
	}
	if c.uses[at] == 0 {
		key := c.p.Text(l.Key)
		use := c.options.Label(key, l.Str == 0)
		if use == OfSeries && (key == profile.AttrKind || key == profile.AttrValues) {
			use = Dropped // it would not be a label of the series, but change what the profile is
		}
		c.uses[at] = 1 + use
	}
	return c.uses[at] - 1
}

// place returns where a sample with labels belongs, its attributes and its link.
func (c *Converter) place(scope pprofile.ScopeProfiles, columns []Column, labels []Label) (to []pprofile.SampleSlice, attributes []int32, link int32) {
	c.ofSample, c.ofSeries = c.ofSample[:0], c.ofSeries[:0]
	var of linkKey
	for _, l := range labels {
		switch c.use(l) {
		case OfSample:
			c.ofSample = append(c.ofSample, l)
		case OfSeries:
			c.ofSeries = append(c.ofSeries, l)
		case OfSpan:
			if isID(c.p.String(l.Str), len(pcommon.SpanID{})) {
				of.span = l.Str
			}
		case OfTrace:
			if isID(c.p.String(l.Str), len(pcommon.TraceID{})) {
				of.trace = l.Str
			}
		}
	}
	series := c.Attributes(c.ofSeries)
	c.key = c.key[:0]
	for _, a := range series {
		c.key = append(c.key, byte(a), byte(a>>8), byte(a>>16), byte(a>>24))
	}
	to, ok := c.targets[string(c.key)]
	if !ok {
		to = c.heads(scope, columns, slices.Clone(series))
		c.targets[string(c.key)] = to
	}
	return to, c.Attributes(c.ofSample), c.link(of)
}

// linkKey is a link by the strings of its ids, 0 for none.
type linkKey struct{ span, trace uint32 }

// isID reports whether s is an id of so many bytes in hexadecimal digits that is not
// all zero.
func isID(s string, bytes int) bool {
	if len(s) != 2*bytes {
		return false
	}
	zero := true
	for i := range len(s) {
		switch c := s[i]; {
		case c == '0':
			continue
		case '0' < c && c <= '9', 'a' <= c && c <= 'f', 'A' <= c && c <= 'F':
			zero = false
		default:
			return false
		}
	}
	return !zero
}

// link returns the index of a link.
func (c *Converter) link(of linkKey) int32 {
	if of == (linkKey{}) {
		return 0
	}
	if i, ok := c.links[of]; ok {
		return i
	}
	t := c.dict.LinkTable()
	i := int32(t.Len())
	to := t.AppendEmpty()
	if of.span != 0 {
		var id pcommon.SpanID
		_, _ = hex.Decode(id[:], []byte(c.p.String(of.span)))
		to.SetSpanID(id)
	}
	if of.trace != 0 {
		var id pcommon.TraceID
		_, _ = hex.Decode(id[:], []byte(c.p.String(of.trace)))
		to.SetTraceID(id)
	}
	c.links[of] = i
	return i
}

// cut returns the part of a stack that the options leave.
func (c *Converter) cut(locations []uint32) []uint32 {
	most := c.options.MaxDepth
	if most <= 0 || len(locations)*max(c.p.maxLines, 1) <= most {
		return locations
	}
	for i := len(locations) - 1; i >= 0; i-- {
		// A location that alone is too deep is cut itself.
		if most -= min(max(int(c.p.Locations[locations[i]].numLines), 1), c.options.MaxDepth); most < 0 {
			return locations[i+1:]
		}
	}
	return locations
}

// validText is [Converter.cutText] of a string that need not be UTF-8: what is not is
// replaced. What is cut off costs nothing.
func (c *Converter) validText(s string) string {
	return c.cutText(strings.ToValidUTF8(c.cutText(s), "\ufffd"))
}

// cutText returns the part of a string that the options leave.
func (c *Converter) cutText(s string) string {
	most := c.options.MaxStringLength
	if most <= 0 || len(s) <= most {
		return s
	}
	s = s[len(s)-most:]
	for len(s) > 0 && !utf8.RuneStart(s[0]) {
		s = s[1:]
	}
	return s
}
