package ingest

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"go.opentelemetry.io/collector/pdata/pprofile"

	"github.com/aperture-collector/aperture-collector/internal/pprofwire"
	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/pyroscope/typemap"
)

// PprofOptions say what a profile of pprof does not.
type PprofOptions struct {
	// Time is that of profiles that have none.
	Time time.Time
	// Spy names the profiler, empty if it is not known.
	Spy string
	// Config has the names of sample types by the client.
	Config SampleTypeConfig
	// ID identifies the profile, a UUID; others are left out.
	ID string
}

// maxComments bounds the comments of a profile in bytes. They are a label of the
// series; larger ones hardly say the same of one profile after another.
const maxComments = 1 << 10

// maxValues bounds the values of the samples of all profiles of pprof of a request.
const maxValues = 4 << 20

// decoded holds profiles that are done with, for their memory.
var decoded = sync.Pool{New: func() any { return new(pprofwire.Profile) }}

// IngestPprof adds a profile of pprof, gzipped or not, as it comes to POST /ingest.
func (b *Batch) IngestPprof(p *Params, data []byte, config SampleTypeConfig) error {
	series, err := p.series(p.Application)
	if err != nil {
		return err
	}
	return b.Pprof(data, series, PprofOptions{Time: p.From, Spy: p.Spy, Config: config})
}

// Pprof adds a profile of pprof, gzipped or not. A series without a name is named by
// the sample types.
func (b *Batch) Pprof(data []byte, s *Series, o PprofOptions) error {
	p := decoded.Get().(*pprofwire.Profile)
	defer p.Recycle(&decoded)
	limits := b.limits.pprof()
	limits.FunctionZero = o.isDotnet()
	if err := p.Parse(data, limits); err != nil {
		return b.pprofError(s, err)
	}
	b.Bytes += int64(p.Size())
	types := p.Types()
	if s.Name == "" {
		s = s.with(o.nameOf(p, types))
	}
	if len(p.SampleTypes) == 0 || p.NumSamples() == 0 {
		return nil
	}
	if p.CommentsSize() > maxComments {
		b.CommentsDropped++
	}
	if time.Unix(0, p.TimeNanos).UTC().Year() <= 1970 {
		p.TimeNanos = 0
	}
	at := o.Time
	if p.TimeNanos > 0 {
		at = time.Unix(0, p.TimeNanos)
	}
	if err := b.checkTime(s, at); err != nil {
		return err
	}
	if end := p.TimeNanos + p.DurationNanos; p.DurationNanos < 0 || end < p.TimeNanos || b.limits.After > 0 && end > b.now.Add(b.limits.After).UnixNano() {
		// Of what does not end before the time that it may have, only the start is known.
		p.DurationNanos = 0
	}
	columns := o.columns(typemap.Kind(s.Name), p, types)
	if b.values += p.NumSamples() * len(columns); b.values > maxValues {
		return tooLarge("profiles of a request have more than %d values together", maxValues)
	}
	c := pprofwire.NewConverter(b.Profiles, p)
	defer c.Release()
	scope := b.scope(s)
	err := c.Append(scope, columns, pprofwire.Options{
		Time: at, Label: labelUse(s), LabelName: typemap.Attribute, Keep: positive, Function: o.function(p),
		MaxDepth: b.limits.depth(), MaxStringLength: b.limits.symbol(), MaxComments: maxComments,
	})
	if id, e := uuid.Parse(o.ID); e == nil {
		for _, p := range scope.Profiles().All() {
			p.SetProfileID(pprofile.ProfileID(id))
		}
	}
	return b.pprofError(s, err)
}

// scope adds the resource of a series and returns its scope.
func (b *Batch) scope(s *Series) pprofile.ScopeProfiles {
	return b.resource(s).ScopeProfiles().AppendEmpty()
}

func (b *Batch) pprofError(s *Series, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, pprofwire.ErrTooLarge):
		return tooLarge("profile with labels '%s': %v", s, err)
	case errors.Is(err, pprofwire.ErrInvalid):
		return badBody("failed to parse profile: %v", err)
	}
	return fmt.Errorf("convert profile: %w", err)
}

// columns says what becomes of the sample types.
func (o *PprofOptions) columns(kind string, p *pprofwire.Profile, types []profile.ValueType) []pprofwire.Column {
	columns := make([]pprofwire.Column, 0, len(types)+1)
	samples, cpu := profile.Types(profile.KindCPU)[0], -1
	counted := false
	for i, t := range types {
		if o.isDotnet() {
			t.Type = strings.ReplaceAll(t.Type, "-", "_")
		}
		column := pprofwire.Column{Index: i, Kind: kind, Type: t}
		if kind == profile.KindCPU && t == samples {
			counted = true
			columns = append([]pprofwire.Column{column}, columns...) // before CPU time, which is of them
			continue
		}
		if t == profile.CPUTime {
			cpu = i
		}
		columns = append(columns, column)
	}
	if kind == profile.KindCPU && !counted && cpu >= 0 && p.Period > 0 {
		// Only the time is known: the number of samples is that of periods.
		of := pprofwire.Column{Index: cpu, Kind: kind, Type: samples, Divide: p.Period}
		columns = append([]pprofwire.Column{of}, columns...)
	}
	return columns
}

// labelUse says what becomes of the labels of samples. Those with a number are left
// out; a label that the series has wins.
func labelUse(s *Series) func(string, bool) pprofwire.LabelUse {
	return func(key string, isNumber bool) pprofwire.LabelUse {
		switch {
		case isNumber:
			return pprofwire.Dropped
		case key == labelProfile, key == labelSpan:
			return pprofwire.OfSpan
		case key == labelTrace:
			return pprofwire.OfTrace
		case key == "", strings.HasPrefix(key, private), s.has(typemap.Attribute(key)), key == typemap.LabelService:
			return pprofwire.Dropped
		}
		return pprofwire.OfSeries
	}
}

// positive reports whether a sample has no negative value.
func positive(s pprofwire.Sample) bool {
	for _, v := range s.Values {
		if v < 0 {
			return false
		}
	}
	return true
}
