package ingest

import (
	"math/bits"
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pprofile"

	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/pyroscope/typemap"
)

// maxTotalFrames bounds the frames of all stacks of a request: some formats unfold a
// few bytes to many. It is what the rest of the product takes by default.
const maxTotalFrames = 8 << 20

// stacks puts stacks of names into the dictionary of a batch.
type stacks struct {
	b         *profile.Builder
	limits    *Limits
	locations map[frame]int32
	stack     []int32
	frames    int // of all different stacks
	known     int // stacks
}

type frame struct {
	name string
	line int64
}

// newStacks begins the profiles of b, which has none.
func (b *Batch) newStacks() *stacks {
	s := &stacks{b: profile.NewBuilder(), limits: b.limits, locations: make(map[frame]int32)}
	b.Profiles = s.b.Profiles()
	return s
}

// location returns the index of a frame. It does not keep the name.
func (s *stacks) location(f frame) int32 {
	f.name = s.limits.cut(f.name) // before it is a key
	i, ok := s.locations[f]
	if !ok {
		f.name = strings.Clone(f.name)
		name := s.limits.cut(withoutShape(strings.ToValidUTF8(f.name, "\ufffd")))
		i = s.b.Location(0, 0, "", profile.Line{Function: s.b.Function(profile.Function{Name: name}), Line: f.line})
		s.locations[f] = i
	}
	return i
}

// add returns the index of a stack of locations, the outermost first, which is not
// kept. Of deep ones the root part is kept.
func (s *stacks) add(outermost []int32) (int32, error) {
	if most := s.limits.depth(); len(outermost) > most {
		outermost = outermost[:most]
	}
	s.stack = s.stack[:0]
	for i := len(outermost) - 1; i >= 0; i-- {
		s.stack = append(s.stack, outermost[i])
	}
	i := s.b.Stack(s.stack)
	if int(i) > s.known {
		s.known = int(i)
		if s.frames += len(s.stack); s.frames > maxTotalFrames {
			return 0, tooLarge("stacks have more than %d frames together", maxTotalFrames)
		}
	}
	return i, nil
}

// sums are stacks with a number each.
type sums struct {
	*stacks
	at     map[int32]int
	index  []int32
	values []int64
	path   []int32
	// isTime says that the numbers are nanoseconds instead of samples.
	isTime bool
}

func newSums(s *stacks) *sums { return &sums{stacks: s, at: make(map[int32]int)} }

// addSum adds to the number of a stack of locations, the outermost first.
func (s *sums) addSum(outermost []int32, v int64) error {
	stack, err := s.add(outermost)
	if err != nil {
		return err
	}
	i, ok := s.at[stack]
	if !ok {
		if most := bound(s.limits.MaxSamples, mostSamples); len(s.index) >= most {
			return tooLarge("profile has more than %d samples", most)
		}
		i = len(s.index)
		s.at[stack] = i
		s.index, s.values = append(s.index, stack), append(s.values, 0)
	}
	s.values[i] = profile.Bounded(profile.Add(s.values[i], v))
	return nil
}

// addText is addSum for frames in one text, parted by semicolons.
func (s *sums) addText(frames string, v int64) error {
	s.path = s.path[:0]
	for rest, more := frames, true; more; {
		var name string
		name, rest, more = strings.Cut(rest, ";")
		// What is deeper is cut.
		if len(s.path) < s.limits.depth() {
			s.path = append(s.path, s.location(frame{name: name}))
		}
	}
	return s.addSum(s.path, v)
}

// rate says how long a sample stands for.
type rate struct {
	hz          int64
	from, until time.Time
}

// nanoseconds returns the time of so many samples.
func (r *rate) nanoseconds(samples int64) int64 {
	hi, lo := bits.Mul64(uint64(samples), 1e9)
	if hi >= uint64(r.hz) {
		return profile.MaxValue
	}
	ns, _ := bits.Div64(hi, lo, uint64(r.hz))
	return int64(min(ns, profile.MaxValue))
}

// samples returns how many samples took so long, rounded.
func (r *rate) samples(ns int64) int64 { return (ns + r.period()/2) / r.period() }

// period is the time of one sample.
func (r *rate) period() int64 { return max(1e9/r.hz, 1) }

// duration is the time that the profile was taken for.
func (r *rate) duration() uint64 { return uint64(min(max(r.until.Sub(r.from), 0), 24*time.Hour)) }

// profile adds a profile to the scope of a series.
func (s *stacks) profile(scope pprofile.ScopeProfiles, kind string, typ, period profile.ValueType, every int64, r *rate) pprofile.SampleSlice {
	p := s.b.AddProfile(scope, kind, typ, period, every)
	p.SetTime(pcommon.NewTimestampFromTime(r.from))
	p.SetDurationNano(r.duration())
	return p.Samples()
}

// write adds the sums to a batch.
func (s *sums) write(b *Batch, series *Series, is typemap.Text, r *rate) error {
	series = series.with(is.ID.Name)
	if err := b.checkTime(series, r.from); err != nil {
		return err
	}
	if len(s.index) == 0 {
		return nil
	}
	scope := b.scope(series)
	kind, samples := typemap.Kind(is.ID.Name), profile.Types(profile.KindCPU)[0]
	same := func(v int64) int64 { return v }
	count, elapsed := same, r.nanoseconds
	if s.isTime {
		count, elapsed = r.samples, same
	}
	switch {
	case is.Time && r.hz == 0 && !s.isTime:
		s.column(s.profile(scope, kind, samples, profile.ValueType{}, 0, r), count)
	case is.Time && r.hz == 0:
		s.column(s.profile(scope, kind, is.ID.Sample, is.ID.Period, 0, r), elapsed)
	case kind == profile.KindCPU:
		s.column(s.profile(scope, kind, samples, is.ID.Period, r.period(), r), count)
		s.column(s.profile(scope, kind, is.ID.Sample, is.ID.Period, r.period(), r), elapsed)
	case is.Time:
		s.column(s.profile(scope, kind, is.ID.Sample, is.ID.Period, r.period(), r), elapsed)
	default:
		s.column(s.profile(scope, kind, is.ID.Sample, is.ID.Period, 0, r), same)
	}
	return nil
}

// column adds a sample for each sum that is positive.
func (s *sums) column(to pprofile.SampleSlice, value func(int64) int64) {
	for i, stack := range s.index {
		if v := value(s.values[i]); v > 0 {
			s.b.SetValue(s.b.AddSample(to, stack, nil), v)
		}
	}
}
