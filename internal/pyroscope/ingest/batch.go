package ingest

import (
	"slices"
	"time"

	"github.com/zeebo/xxh3"
	"go.opentelemetry.io/collector/pdata/pprofile"

	"github.com/aperture-collector/aperture-collector/internal/profile"
)

// Batch is what becomes of one request. It is not safe for concurrent use.
type Batch struct {
	// Profiles is what goes down the pipeline, as a whole or not at all.
	Profiles pprofile.Profiles
	// Bytes is the size of what was decoded, inflated.
	Bytes int64
	// CommentsDropped is the number of profiles whose comments are too long to be kept.
	CommentsDropped int64

	limits *Limits
	tenant string
	now    time.Time
	series []*Series // by index of the resource
	values int       // of samples of pprof
}

// NewBatch returns an empty Batch of a tenant.
func NewBatch(tenant string, limits *Limits, now time.Time) *Batch {
	return &Batch{Profiles: pprofile.NewProfiles(), limits: limits, tenant: tenant, now: now}
}

// resource adds a resource for a series.
func (b *Batch) resource(s *Series) pprofile.ResourceProfiles {
	b.series = append(b.series, s)
	rp := b.Profiles.ResourceProfiles().AppendEmpty()
	s.resource(rp.Resource().Attributes(), b.tenant)
	return rp
}

// checkTime checks that a profile is of about now.
func (b *Batch) checkTime(s *Series, at time.Time) error {
	from, to := b.now.Add(-b.limits.Before), b.now.Add(b.limits.After)
	if b.limits.Before > 0 && at.Before(from) || b.limits.After > 0 && at.After(to) {
		return invalid(ReasonTime, "profile with labels '%s' is outside of ingestion window (profile timestamp: %s, the ingestion window starts at %s and ends at %s)",
			s, at.UTC().Format(time.RFC3339), edge(b.limits.Before, from), edge(b.limits.After, to))
	}
	if at.Unix() < 0 || at.Year() > latestYear {
		return invalid(ReasonTime, "profile with labels '%s' has the timestamp %s; it must be from 1970 to 2105", s, at.UTC().Format(time.RFC3339))
	}
	return nil
}

// latestYear is the last one before [profile.MaxTime].
const latestYear = 2105

// edge is one end of the window of time.
func edge(length time.Duration, at time.Time) string {
	if length <= 0 {
		return "any time"
	}
	return at.UTC().Format(time.RFC3339)
}

// SeriesID identifies a series of a tenant.
type SeriesID = xxh3.Uint128

// Check checks the labels that profiles have, also those of samples, and returns the
// different series and the number of samples. Profiles without samples count as none.
func (b *Batch) Check() (series []SeriesID, samples int, err error) {
	seen := make(map[SeriesID]struct{})
	dict := b.Profiles.Dictionary()
	var labels []Label
	var key []byte
	for i := range b.Profiles.ResourceProfiles().Len() {
		s := b.series[i]
		for _, sp := range b.Profiles.ResourceProfiles().At(i).ScopeProfiles().All() {
			for _, p := range sp.Profiles().All() {
				if p.Samples().Len() == 0 {
					continue
				}
				samples += p.Samples().Len()
				labels = labels[:0]
				var comments string
				for _, a := range p.AttributeIndices().All() {
					at := dict.AttributeTable().At(int(a))
					switch name := dict.StringTable().At(int(at.KeyStrindex())); name {
					case profile.AttrKind:
					case profile.AttrComment: // limits are not for what is not sent as a label
						comments = at.Value().AsString()
					default:
						labels = append(labels, Label{name, at.Value().AsString()})
					}
				}
				slices.SortFunc(labels, byName) // attributes are in no order
				id := seriesID(&key, s, labels, comments)
				if _, ok := seen[id]; ok {
					continue
				}
				if err := s.check(b.limits, labels); err != nil {
					return nil, 0, err
				}
				seen[id] = struct{}{}
				series = append(series, id)
			}
		}
	}
	return series, samples, nil
}

func seriesID(key *[]byte, s *Series, more []Label, comments string) SeriesID {
	k := profile.AppendString(profile.AppendString((*key)[:0], s.Name), s.service)
	for _, list := range [][]Label{s.labels, more} {
		for _, l := range list {
			k = profile.AppendString(profile.AppendString(k, l.Name), l.Value)
		}
	}
	k = profile.AppendString(k, comments)
	*key = k
	return xxh3.Hash128(k)
}
