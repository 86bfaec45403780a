package pprofwire

import (
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pprofile"

	"github.com/aperture-collector/aperture-collector/internal/profile"
)

// Options say what a profile does not.
type Options struct {
	// Kind is the kind of profile, empty for what its sample types say, see
	// [Profile.Columns].
	Kind string
	// Time is the start of profiles that have none.
	Time time.Time
}

// ToProfiles returns p as OTLP profiles, one for each column, in one resource
// without attributes. Sums by sample type, stack and labels are those of p; samples
// whose value is 0 are left out. Comments, drop_frames, keep_frames, doc_url and
// units of labels have no place in OTLP profiles. Nothing of the result aliases p.
func ToProfiles(p *Profile, o Options) (pprofile.Profiles, error) {
	columns, err := p.Columns(o.Kind)
	if err != nil {
		return pprofile.Profiles{}, err
	}
	pd := pprofile.NewProfiles()
	scope := pd.ResourceProfiles().AppendEmpty().ScopeProfiles().AppendEmpty()
	c := NewConverter(pd, p)
	c.Append(scope, columns, o.Time)
	c.release()
	return pd, nil
}

// Append adds a profile for each of the columns to scope, with all samples whose
// value is not 0. start is the time of a profile that has none.
func (c *Converter) Append(scope pprofile.ScopeProfiles, columns []Column, start time.Time) {
	to := make([]pprofile.SampleSlice, len(columns))
	all := 0
	for i := range columns {
		to[i] = c.head(scope, &columns[i], start)
		n := c.p.present(columns[i].Index)
		to[i].EnsureCapacity(n)
		all += n
	}
	c.sampleList.Reserve(all)
	c.values.Reserve(all)
	for i := range c.p.NumSamples() {
		s := c.p.Sample(i)
		// What no column has need not be in the dictionary.
		stack, attributes := int32(-1), []int32(nil)
		for n := range columns {
			v := columns[n].of(s.Values)
			if v == 0 {
				continue
			}
			if stack < 0 {
				stack, attributes = c.Stack(s.Locations), c.Attributes(s.Labels)
			}
			c.sampleList.Append(to[n], 1)
			sample := to[n].At(to[n].Len() - 1)
			sample.SetStackIndex(stack)
			if len(attributes) > 0 {
				c.indices.Set(sample.AttributeIndices(), attributes)
			}
			c.values.One(sample.Values(), v)
		}
	}
}

// present returns how many values of a sample type are not 0.
func (p *Profile) present(index int) (n int) {
	for i := index; i < len(p.values); i += len(p.SampleTypes) {
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
func (c *Converter) head(scope pprofile.ScopeProfiles, of *Column, start time.Time) pprofile.SampleSlice {
	to := scope.Profiles().AppendEmpty()
	to.SampleType().SetTypeStrindex(c.add(of.Type.Type))
	to.SampleType().SetUnitStrindex(c.add(of.Type.Unit))
	period := c.p.valueType(c.p.PeriodType)
	if of.Kind == profile.KindCPU {
		period = cpuTime
	}
	to.PeriodType().SetTypeStrindex(c.add(period.Type))
	to.PeriodType().SetUnitStrindex(c.add(period.Unit))
	to.SetPeriod(c.p.Period)
	to.AttributeIndices().Append(c.textAttribute(profile.AttrKind, of.Kind))
	nanos := max(c.p.TimeNanos, 0)
	if nanos == 0 && !start.IsZero() {
		nanos = start.UnixNano()
	}
	to.SetTime(pcommon.Timestamp(nanos))
	to.SetDurationNano(uint64(max(c.p.DurationNanos, 0)))
	return to.Samples()
}
