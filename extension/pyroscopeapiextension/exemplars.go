package pyroscopeapiextension

import (
	"cmp"
	"context"
	"encoding/hex"
	"fmt"
	"slices"
	"time"

	typesv1 "github.com/grafana/pyroscope/api/gen/proto/go/types/v1"

	"github.com/aperture-collector/aperture-collector/internal/flamebearer"
	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
	"github.com/aperture-collector/aperture-collector/internal/pyroscope/selector"
	"github.com/aperture-collector/aperture-collector/internal/pyroscope/typemap"
)

// grouping says what single observations are summed by.
type grouping int

const (
	noExemplars grouping = iota
	byProfile
	bySpan
)

func exemplarsOf(t typesv1.ExemplarType) (grouping, error) {
	switch t {
	case typesv1.ExemplarType_EXEMPLAR_TYPE_UNSPECIFIED, typesv1.ExemplarType_EXEMPLAR_TYPE_NONE:
		return noExemplars, nil
	case typesv1.ExemplarType_EXEMPLAR_TYPE_INDIVIDUAL:
		return byProfile, nil
	case typesv1.ExemplarType_EXEMPLAR_TYPE_SPAN:
		return bySpan, nil
	}
	return noExemplars, selector.Invalid("exemplar_type is %s; it must be none, individual or span", t)
}

// wants reports whether an exemplar may be answered.
func (g grouping) wants(x *typesv1.Exemplar) bool {
	return x != nil && (g == byProfile && x.ProfileId != "" || g == bySpan && x.SpanId != "")
}

// observedKey is what observations are summed by.
type observedKey struct {
	id      [16]byte
	service string
	kind    string
	labels  profile.ID
}

// observedValues returns the sums of single observations by span or profile. If they
// are too many it is an error, unless the newest are enough.
func (a *api) observedValues(ctx context.Context, q *seriesQuery, sel profilestore.Selector, by grouping, newest bool) ([]single, error) {
	list, err := a.store.Exemplars(ctx, sel, q.only.options(maxObservations))
	if err != nil {
		return nil, err
	}
	if len(list) >= maxObservations && !newest {
		return nil, fmt.Errorf("%w: there are %d observations of spans and profiles or more; select fewer", profilestore.ErrLimit, maxObservations)
	}
	t := target{q.id}
	places := make(map[observedKey]int)
	var out []single
	for i := range list {
		x := &list[i]
		scale, ok, err := t.observed(x.Types, x.Period)
		if err != nil {
			return nil, err
		}
		if !ok || !q.stacks.has(x.Stack.Frames) {
			continue
		}
		key := observedKey{service: x.Service, kind: x.Kind}
		if by == bySpan {
			copy(key.id[:], x.SpanID[:])
		} else {
			key.id = x.ProfileID
		}
		if key.id == ([16]byte{}) {
			continue
		}
		key.labels, _ = profile.LabelsID(x.Labels, nil)
		value := flamebearer.Scaled(x.Value, scale)
		at, ok := places[key]
		if !ok {
			at = len(out)
			places[key] = at
			out = append(out, single{
				labels: labelSet(q.by, q.id, func(public string) string { return labelOf(x.Service, x.Labels, public) }),
				point:  q.point(x.Time), Exemplar: q.exemplar(x, by),
			})
		}
		out[at].value = profile.Add(out[at].value, value)
		out[at].Exemplar.Value = out[at].value
	}
	return out, nil
}

func (q *seriesQuery) exemplar(x *profilestore.Exemplar, by grouping) *typesv1.Exemplar {
	out := &typesv1.Exemplar{Timestamp: x.Time / int64(time.Millisecond), Labels: otherLabels(x.Service, x.Labels, q.by)}
	if x.ProfileID != ([16]byte{}) && by == byProfile {
		h := hex.EncodeToString(x.ProfileID[:])
		out.ProfileId = h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
	}
	if x.SpanID != ([8]byte{}) && by == bySpan {
		out.SpanId = hex.EncodeToString(x.SpanID[:])
	}
	if x.TraceID != ([16]byte{}) {
		out.TraceId = hex.EncodeToString(x.TraceID[:])
	}
	return out
}

// labelOf returns the value of a label as clients know it.
func labelOf(service string, labels []profile.Label, public string) string {
	if isService(public) {
		return service
	}
	i := slices.IndexFunc(labels, func(l profile.Label) bool { return typemap.Label(l.Name) == public && l.Value != "" })
	if i < 0 {
		return ""
	}
	return labels[i].Value
}

// otherLabels returns the labels that series are not grouped by.
func otherLabels(service string, labels []profile.Label, by []string) []*typesv1.LabelPair {
	names := []string{typemap.LabelService}
	for _, l := range labels {
		names = append(names, typemap.Label(l.Name))
	}
	names = slices.DeleteFunc(names, func(name string) bool {
		return slices.ContainsFunc(by, func(b string) bool { return typemap.Label(b) == name })
	})
	return labelSet(names, typemap.ID{}, func(public string) string { return labelOf(service, labels, public) })
}

// maxExemplars bounds those of one point.
const maxExemplars = 10

// addExemplars adds the largest spans or profiles to the points that they are in.
func (a *api) addExemplars(ctx context.Context, q *seriesQuery, sel profilestore.Selector, series []*typesv1.Series) error {
	list, err := a.observedValues(ctx, q, sel, q.exemplars, true)
	if err != nil {
		return err
	}
	slices.SortStableFunc(list, func(a, b single) int { return cmp.Compare(b.value, a.value) })
	type place struct {
		series string
		time   int64
	}
	points := make(map[place]*typesv1.Point)
	for _, s := range series {
		key := labelKey(s.Labels)
		for _, p := range s.Points {
			points[place{key, p.Timestamp}] = p
		}
	}
	for i := range list {
		x := &list[i]
		p := points[place{labelKey(x.labels), q.times.start + x.point*q.step}]
		if p != nil && len(p.Exemplars) < maxExemplars {
			p.Exemplars = append(p.Exemplars, x.Exemplar)
		}
	}
	return nil
}

// maxObservations bounds the single observations that a query is about.
const maxObservations = 100_000
