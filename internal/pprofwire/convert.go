package pprofwire

import (
	"fmt"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pprofile"

	"github.com/aperture-collector/aperture-collector/internal/profile"
)

// ToProfiles returns p as OTLP profiles, one for each column, in one resource
// without attributes. Sums by sample type, stack and labels are those of p; samples
// whose value is 0 are left out. Comments are kept as MaxComments of the options says;
// drop_frames, keep_frames, doc_url and units of labels have no place in OTLP profiles.
// Nothing of the result aliases p.
func ToProfiles(p *Profile, o Options) (pprofile.Profiles, error) {
	columns, err := p.Columns(o.Kind)
	if err != nil {
		return pprofile.Profiles{}, err
	}
	pd := pprofile.NewProfiles()
	scope := pd.ResourceProfiles().AppendEmpty().ScopeProfiles().AppendEmpty()
	c := NewConverter(pd, p)
	err = c.Append(scope, columns, o)
	c.Release()
	return pd, err
}

// Append adds profiles to scope, one for each of the columns (for each set of labels
// of the series, if the options have such), with all samples whose value is not 0.
// The kind of the options is not looked at. It is an error that wraps [ErrTooLarge] if
// there are too many such sets or strings become too much text; scope is incomplete then.
func (c *Converter) Append(scope pprofile.ScopeProfiles, columns []Column, o Options) error {
	return c.AppendSamples(scope, columns, o, 0, c.p.NumSamples())
}

// AppendSamples is [Converter.Append] of the samples from first to end, which is not
// among them.
func (c *Converter) AppendSamples(scope pprofile.ScopeProfiles, columns []Column, o Options, first, end int) error {
	c.options = o
	if o.Label != nil {
		c.uses = zeros(c.uses, 2*len(c.p.strings))
	}
	c.comments = c.commentsAttribute()
	c.reserve(columns, first, end)
	var plain []pprofile.SampleSlice
	if o.Label == nil {
		plain = c.heads(scope, columns, nil)
		for i := range plain {
			plain[i].EnsureCapacity(c.p.present(columns[i].Index, first, end))
		}
	}
	clear(c.targets)
	for i := first; i < end; i++ {
		s := c.p.Sample(i)
		if o.Keep != nil && !o.Keep(s) {
			continue
		}
		// What no column has need not be in the dictionary.
		to, stack, link, attributes := plain, int32(-1), int32(0), []int32(nil)
		for n := range columns {
			v := columns[n].of(s.Values)
			if v == 0 {
				continue
			}
			if stack < 0 {
				stack = c.Stack(c.cut(s.Locations))
				if o.Label == nil {
					attributes = c.Attributes(s.Labels)
				} else {
					to, attributes, link = c.place(scope, columns, s.Labels)
				}
				if c.err != nil {
					return c.err
				}
				if len(c.targets) > maxSeries {
					return fmt.Errorf("convert pprof: %w: labels of the series have more than %d different sets of values", ErrTooLarge, maxSeries)
				}
			}
			sample := c.blocks.Samples.One(to[n])
			sample.SetStackIndex(stack)
			if len(attributes) > 0 {
				c.blocks.Indices.Set(sample.AttributeIndices(), attributes)
			}
			sample.SetLinkIndex(link)
			c.blocks.Values.One(sample.Values(), v)
		}
	}
	return nil
}

// heads adds profiles without samples, one for each column.
func (c *Converter) heads(scope pprofile.ScopeProfiles, columns []Column, attributes []int32) []pprofile.SampleSlice {
	to := make([]pprofile.SampleSlice, len(columns))
	for i := range columns {
		to[i] = c.head(scope, &columns[i], attributes)
	}
	return to
}

// present returns how many values of a sample type are not 0 in the samples from
// first to end.
func (p *Profile) present(index, first, end int) (n int) {
	for i := first*len(p.SampleTypes) + index; i < end*len(p.SampleTypes); i += len(p.SampleTypes) {
		if p.values[i] != 0 {
			n++
		}
	}
	return n
}

// of returns the column's value of a sample.
func (c *Column) of(values []int64) int64 {
	v := values[c.Index]
	if c.Divide <= 1 {
		return v
	}
	q, r := v/c.Divide, v%c.Divide
	switch {
	case r > 0 && r >= c.Divide-r:
		q++
	case r < 0 && -r >= c.Divide+r:
		q--
	}
	return q
}

// head adds a profile without samples.
func (c *Converter) head(scope pprofile.ScopeProfiles, of *Column, attributes []int32) pprofile.SampleSlice {
	to := scope.Profiles().AppendEmpty()
	to.SampleType().SetTypeStrindex(c.add(of.Type.Type))
	to.SampleType().SetUnitStrindex(c.add(of.Type.Unit))
	period := c.p.valueType(c.p.PeriodType)
	if of.Kind == profile.KindCPU {
		period = profile.CPUTime
	}
	to.PeriodType().SetTypeStrindex(c.add(period.Type))
	to.PeriodType().SetUnitStrindex(c.add(period.Unit))
	to.SetPeriod(c.p.Period)
	to.AttributeIndices().Append(c.textAttribute(profile.AttrKind, of.Kind))
	to.AttributeIndices().Append(attributes...)
	if c.comments > 0 {
		to.AttributeIndices().Append(c.comments)
	}
	nanos := max(c.p.TimeNanos, 0)
	if nanos == 0 && !c.options.Time.IsZero() {
		nanos = c.options.Time.UnixNano()
	}
	to.SetTime(pcommon.Timestamp(nanos))
	to.SetDurationNano(uint64(max(c.p.DurationNanos, 0)))
	return to.Samples()
}
