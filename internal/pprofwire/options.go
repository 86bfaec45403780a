package pprofwire

import (
	"encoding/hex"
	"slices"
	"time"

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
	// Keep reports whether a sample is to be kept.
	Keep func(Sample) bool
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
	for _, l := range labels {
		switch c.use(l) {
		case OfSample:
			c.ofSample = append(c.ofSample, l)
		case OfSeries:
			c.ofSeries = append(c.ofSeries, l)
		case OfSpan:
			if of := c.link(l.Str); of != 0 {
				link = of
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
	return to, c.Attributes(c.ofSample), link
}

// link returns the index of the link to a span, 0 if the string is none.
func (c *Converter) link(span uint32) int32 {
	if i, ok := c.links[span]; ok {
		return i
	}
	var id pcommon.SpanID
	text := c.p.String(span)
	if len(text) != 2*len(id) {
		return 0
	}
	if _, err := hex.Decode(id[:], []byte(text)); err != nil || id.IsEmpty() {
		return 0
	}
	t := c.dict.LinkTable()
	i := int32(t.Len())
	t.AppendEmpty().SetSpanID(id)
	c.links[span] = i
	return i
}
