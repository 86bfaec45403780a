package ebpfprofilingreceiver

import (
	"slices"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pprofile"

	"github.com/aperture-collector/aperture-collector/internal/profile"
)

// flatFrame is a frame as a reader of the profile sees it.
type flatFrame struct {
	name, mapping, buildID, kind, file string
	address                            uint64
	line                               int64
	inlined                            bool // into the next frame
}

// flatSample is a sample of one process.
type flatSample struct {
	kind, typ string
	frames    []flatFrame // leaf first
	attrs     map[string]string
	values    []int64
	sum       int64 // of values
}

func attr(dict pprofile.ProfilesDictionary, indices pcommon.Int32Slice, key string) string {
	for _, i := range indices.All() {
		a := dict.AttributeTable().At(int(i))
		if dict.StringTable().At(int(a.KeyStrindex())) == key {
			return a.Value().AsString()
		}
	}
	return ""
}

// flatten reads all samples of resources that accept returns true for.
func flatten(all []pprofile.Profiles, accept func(pcommon.Map) bool) (out []flatSample) {
	for _, pd := range all {
		dict := pd.Dictionary()
		str := func(i int32) string { return dict.StringTable().At(int(i)) }
		for _, rp := range pd.ResourceProfiles().All() {
			if !accept(rp.Resource().Attributes()) {
				continue
			}
			for _, p := range rp.ScopeProfiles().At(0).Profiles().All() {
				kind, typ := attr(dict, p.AttributeIndices(), profile.AttrKind), str(p.SampleType().TypeStrindex())
				for _, s := range p.Samples().All() {
					f := flatSample{kind: kind, typ: typ, attrs: map[string]string{}, values: s.Values().AsRaw()}
					for _, i := range s.AttributeIndices().All() {
						a := dict.AttributeTable().At(int(i))
						f.attrs[str(a.KeyStrindex())] = a.Value().AsString()
					}
					for _, v := range f.values {
						f.sum += v
					}
					f.frames = flattenStack(dict, s.StackIndex())
					out = append(out, f)
				}
			}
		}
	}
	return out
}

func flattenStack(dict pprofile.ProfilesDictionary, index int32) (frames []flatFrame) {
	str := func(i int32) string { return dict.StringTable().At(int(i)) }
	for _, l := range dict.StackTable().At(int(index)).LocationIndices().All() {
		loc := dict.LocationTable().At(int(l))
		m := dict.MappingTable().At(int(loc.MappingIndex()))
		f := flatFrame{
			address: loc.Address(), mapping: str(m.FilenameStrindex()),
			buildID: attr(dict, m.AttributeIndices(), profile.AttrBuildIDGNU) +
				attr(dict, m.AttributeIndices(), profile.AttrBuildIDGo),
			kind: attr(dict, loc.AttributeIndices(), profile.AttrFrameType),
		}
		for i, line := range loc.Lines().All() {
			fn := dict.FunctionTable().At(int(line.FunctionIndex()))
			f.name, f.file, f.line = str(fn.NameStrindex()), str(fn.FilenameStrindex()), line.Line()
			f.inlined = i < loc.Lines().Len()-1
			frames = append(frames, f)
		}
		if loc.Lines().Len() == 0 {
			frames = append(frames, f)
		}
	}
	return frames
}

func everything(pcommon.Map) bool { return true }

func ofPID(pid int) func(pcommon.Map) bool {
	return func(m pcommon.Map) bool {
		v, _ := m.Get("process.pid")
		return v.Int() == int64(pid)
	}
}

// ofType keeps the samples of one type of value.
func ofType(samples []flatSample, typ string) []flatSample {
	return slices.DeleteFunc(slices.Clone(samples), func(s flatSample) bool { return s.typ != typ })
}

// user returns the frames that are not of the kernel.
func (s *flatSample) user() []flatFrame {
	i := slices.IndexFunc(s.frames, func(f flatFrame) bool { return f.kind != profile.FrameKernel })
	if i < 0 {
		return nil
	}
	return s.frames[i:]
}

// has reports whether a function is in the stack.
func (s *flatSample) has(function string) bool {
	return slices.ContainsFunc(s.frames, func(f flatFrame) bool { return f.name == function })
}

// folded returns the names of frames, the outermost first.
func folded(frames []flatFrame) string {
	var names []string
	for _, f := range slices.Backward(frames) {
		names = append(names, f.name)
	}
	return strings.Join(names, ";")
}

// endsLike reports whether the user half of the stack is as the innermost part
// of chain, leaf first, left out: a sample can hit any function of a chain, and
// must have all callers of it. "a|b" is one of two names, "?" none or any but of the
// chain: a stack that has lost its callers does not end like a chain that ends with it.
func (s *flatSample) endsLike(chain ...string) bool {
	frames := s.user()
	if len(frames) == 0 || len(frames) > len(chain) {
		return false
	}
	for i, want := range chain[len(chain)-len(frames):] {
		if want == "?" && inChain(chain, frames[i].name) || want != "?" && !isOneOf(want, frames[i].name) {
			return false
		}
	}
	return true
}

func isOneOf(names, name string) bool { return slices.Contains(strings.Split(names, "|"), name) }

func inChain(chain []string, name string) bool {
	return name != "" && slices.ContainsFunc(chain, func(names string) bool { return isOneOf(names, name) })
}

// whole is a test for stacks from the innermost function of a chain to the outermost.
func whole(chain ...string) matches {
	return func(s *flatSample) bool { return len(s.user()) == len(chain) && s.endsLike(chain...) }
}

// sumOf adds up the values of samples, of those that match and of all.
func sumOf(samples []flatSample, match func(*flatSample) bool) (sum, all float64) {
	for i := range samples {
		all += float64(samples[i].sum)
		if match(&samples[i]) {
			sum += float64(samples[i].sum)
		}
	}
	return sum, all
}

// leafShares returns the part of samples by innermost function of the process
// that was not inlined.
func leafShares(samples []flatSample) (shares map[string]float64, total float64) {
	shares = map[string]float64{}
	for _, s := range samples {
		total += float64(s.sum)
		for _, f := range s.user() {
			if !f.inlined {
				shares[f.name] += float64(s.sum)
				break
			}
		}
	}
	for name := range shares {
		shares[name] /= total
	}
	return shares, total
}
