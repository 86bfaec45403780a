package ingest

import (
	"encoding/json"
	"math"
	"slices"

	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/pyroscope/typemap"
)

// speedscopeFile is the file format of speedscope,
// https://www.speedscope.app/file-format-schema.json.
type speedscopeFile struct {
	Shared struct {
		Frames []struct {
			Name string `json:"name"`
		} `json:"frames"`
	} `json:"shared"`
	Profiles []speedscopeProfile `json:"profiles"`
}

type speedscopeProfile struct {
	Type string `json:"type"`
	Name string `json:"name"`
	Unit string `json:"unit"`
	// Of evented profiles.
	Events []struct {
		Type  string  `json:"type"`
		Frame int     `json:"frame"`
		At    float64 `json:"at"`
	} `json:"events"`
	// Of sampled ones: frames from the outermost to the innermost.
	Samples [][]int   `json:"samples"`
	Weights []float64 `json:"weights"`
}

// units of time of speedscope in nanoseconds.
var units = map[string]float64{"nanoseconds": 1, "microseconds": 1e3, "milliseconds": 1e6, "seconds": 1e9}

// Speedscope adds the profiles of a file of speedscope. That of a single one is what
// the application's name says, each of several what its unit says.
func (b *Batch) Speedscope(p *Params, data []byte) error {
	if int64(len(data)) > b.limits.Size() {
		return tooLarge("profile has %d bytes; the limit is %d", len(data), b.limits.Size())
	}
	b.Bytes += int64(len(data))
	var f speedscopeFile
	if err := json.Unmarshal(data, &f); err != nil {
		return badBody("failed to parse speedscope file: %v", err)
	}
	s := b.newStacks()
	locations := make([]int32, len(f.Shared.Frames))
	for i := range f.Shared.Frames {
		locations[i] = s.location(frame{name: f.Shared.Frames[i].Name})
	}
	service, suffix := typemap.CutSuffix(p.Application)
	for i := range f.Profiles {
		of := &f.Profiles[i]
		several := len(f.Profiles) > 1
		if several {
			service, suffix = p.Application, of.Unit
		}
		is, ok := typemap.OfText(suffix)
		if !ok {
			return unknownType(suffix)
		}
		series, err := p.series(service)
		if err != nil {
			return err
		}
		if several {
			series = series.with("", Label{"profile_name", of.Name})
		}
		sums := newSums(s)
		scale, isTime := units[of.Unit]
		if sums.isTime = isTime && is.Time; !isTime || !is.Time {
			scale = 1
		}
		if err := of.read(sums, i, locations, scale); err != nil {
			return err
		}
		if err := sums.write(b, series, is, p.rate()); err != nil {
			return err
		}
	}
	return nil
}

func (of *speedscopeProfile) read(s *sums, number int, locations []int32, scale float64) error {
	switch of.Type {
	case "sampled":
		return of.sampled(s, number, locations, scale)
	case "evented":
		return of.evented(s, number, locations, scale)
	}
	return badBody("profiles[%d].type is %.64q; it must be sampled or evented", number, of.Type)
}

func (of *speedscopeProfile) sampled(s *sums, number int, locations []int32, scale float64) error {
	if len(of.Weights) != len(of.Samples) {
		return badBody("profiles[%d] has %d samples and %d weights", number, len(of.Samples), len(of.Weights))
	}
	var path []int32
	for i, sample := range of.Samples {
		path = path[:0]
		for j, at := range sample {
			if at < 0 || at >= len(locations) {
				return badBody("profiles[%d].samples[%d][%d] is %d; there are %d frames", number, i, j, at, len(locations))
			}
			path = append(path, locations[at])
		}
		if err := s.addScaled(path, of.Weights[i]*scale); err != nil {
			return err
		}
	}
	return nil
}

func (of *speedscopeProfile) evented(s *sums, number int, locations []int32, scale float64) error {
	var open []int
	var path []int32
	last, work := 0.0, 0
	for i, e := range of.Events {
		switch {
		case e.Frame < 0 || e.Frame >= len(locations):
			return badBody("profiles[%d].events[%d].frame is %d; there are %d frames", number, i, e.Frame, len(locations))
		case i > 0 && e.At < last:
			return badBody("profiles[%d].events[%d].at is %g, before %g of the event before", number, i, e.At, last)
		}
		if e.At > last && len(open) > 0 {
			if work += min(len(path), s.limits.depth()); work > maxFrames {
				return tooLarge("stacks of profiles[%d] have more than %d frames together", number, maxFrames)
			}
			if err := s.addScaled(path, (e.At-last)*scale); err != nil {
				return err
			}
		}
		last = e.At
		switch n := len(open); e.Type {
		case "O":
			open, path = append(open, e.Frame), append(path, locations[e.Frame])
		case "C":
			if n == 0 || open[n-1] != e.Frame {
				return badBody("profiles[%d].events[%d] closes frame %d; the open ones end with %v", number, i, e.Frame, slices.Clone(open[max(n-1, 0):]))
			}
			open, path = open[:n-1], path[:n-1]
		default:
			return badBody("profiles[%d].events[%d].type is %.64q; it must be O or C", number, i, e.Type)
		}
	}
	return nil
}

// addScaled adds a number that need not be whole.
func (s *sums) addScaled(path []int32, v float64) error {
	if v = math.Round(v); !(v > 0) {
		return nil
	}
	return s.addSum(path, int64(min(v, profile.MaxValue)))
}
