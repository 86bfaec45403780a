package profile

import "go.opentelemetry.io/collector/pdata/pprofile"

// AddSample appends a sample to the samples of a Profile. attributes are not kept.
func (b *Builder) AddSample(to pprofile.SampleSlice, stack int32, attributes []int32) pprofile.Sample {
	s := b.blocks.Samples.One(to)
	s.SetStackIndex(stack)
	if len(attributes) > 0 {
		b.blocks.Indices.Set(s.AttributeIndices(), attributes)
	}
	return s
}

// SetValue makes v the only value of a sample.
func (b *Builder) SetValue(s pprofile.Sample, v int64) { b.blocks.Values.One(s.Values(), v) }

// AddProfile appends a Profile of the given kind and type to scope.
func (b *Builder) AddProfile(scope pprofile.ScopeProfiles, kind string, sample, period ValueType, periodValue int64) pprofile.Profile {
	p := scope.Profiles().AppendEmpty()
	p.SampleType().SetTypeStrindex(b.String(sample.Type))
	p.SampleType().SetUnitStrindex(b.String(sample.Unit))
	if period != (ValueType{}) {
		p.PeriodType().SetTypeStrindex(b.String(period.Type))
		p.PeriodType().SetUnitStrindex(b.String(period.Unit))
	}
	p.SetPeriod(periodValue)
	p.AttributeIndices().Append(b.StringAttribute(AttrKind, kind))
	return p
}
