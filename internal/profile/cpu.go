package profile

import "go.opentelemetry.io/collector/pdata/pprofile"

// hasCPUSamples reports whether a profile of the present scope is of the cpu kind and
// has its samples, before or after that which asks: CPU time belongs to them then. It is
// found out once.
func (s *splitter) hasCPUSamples() (bool, error) {
	if s.kinds[KindCPU] != nil || s.searched {
		return s.kinds[KindCPU] != nil, nil
	}
	s.searched = true
	for _, p := range s.profiles.All() {
		sample, period, err := s.types(p)
		if err != nil {
			return false, err
		}
		if sample != ownTypes[KindCPU][0] {
			continue
		}
		kind := ""
		for _, a := range p.AttributeIndices().All() {
			at, err := s.out.Dict.attr(a, "profile")
			if err != nil {
				return false, err
			}
			if at.key == AttrKind {
				kind = at.value.AsString()
			}
		}
		if kind == "" {
			kind = KindOf(sample, period)
		}
		if kind == KindCPU {
			s.kinds[KindCPU] = ownTypes[KindCPU]
			return true, nil
		}
	}
	return false, nil
}

// types returns the sample type and the period type of a profile.
func (s *splitter) types(p pprofile.Profile) (sample, period ValueType, err error) {
	for _, f := range [...]struct {
		dst  *string
		idx  int32
		name string
	}{
		{&sample.Type, p.SampleType().TypeStrindex(), "sample_type.type_strindex"},
		{&sample.Unit, p.SampleType().UnitStrindex(), "sample_type.unit_strindex"},
		{&period.Type, p.PeriodType().TypeStrindex(), "period_type.type_strindex"},
		{&period.Unit, p.PeriodType().UnitStrindex(), "period_type.unit_strindex"},
	} {
		if *f.dst, err = s.out.Dict.str(f.idx, "profiles", 0, f.name); err != nil {
			return sample, period, err
		}
	}
	return sample, period, nil
}
