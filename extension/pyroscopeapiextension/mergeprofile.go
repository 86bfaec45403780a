package pyroscopeapiextension

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"connectrpc.com/connect"
	googlev1 "github.com/grafana/pyroscope/api/gen/proto/go/google/v1"
	querierv1 "github.com/grafana/pyroscope/api/gen/proto/go/querier/v1"

	"github.com/aperture-collector/aperture-collector/internal/export"
	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// SelectMergeProfile sums profiles by stack, with all that is known of frames.
func (a *querier) SelectMergeProfile(ctx context.Context, req *connect.Request[querierv1.SelectMergeProfileRequest]) (*connect.Response[googlev1.Profile], error) {
	return call(ctx, a.api, "select_merge_profile", req, func(ctx context.Context, tenant string, r *querierv1.SelectMergeProfileRequest) (*googlev1.Profile, error) {
		q, err := newStackQuery(tenant, r.GetProfileTypeID(), r.GetLabelSelector(), timeRange{r.GetStart(), r.GetEnd()})
		if err != nil {
			return nil, err
		}
		for _, err := range []error{
			q.selectStacks(r.GetStackTraceSelector()), q.selectProfiles(r.GetProfileIdSelector()), q.selectTraces(r.GetTraceIdSelector()),
		} {
			if err != nil {
				return nil, err
			}
		}
		return a.mergeProfile(ctx, q, r.GetMaxNodes())
	})
}

// mergeProfile answers a query as a profile of pprof with one sample type. maxNodes is
// about how many call paths it may have, 0 for all; what is left out is in frames with
// the name "other".
func (a *api) mergeProfile(ctx context.Context, q *stackQuery, maxNodes int64) (*googlev1.Profile, error) {
	parts, err := a.mergeStacks(ctx, q)
	if err != nil {
		return nil, err
	}
	comments, err := a.comments(ctx, q)
	if err != nil {
		return nil, err
	}
	_, step := profilestore.StartStep(ctx, "pprof")
	defer step.End(nil)
	one := parts.join()
	if q.pgo != nil {
		q.pgo.apply(&one)
	}
	if maxNodes > 0 {
		one.truncate(maxNodes)
	}
	one.kind.Types = []profile.ValueType{q.id.Sample}
	var b bytes.Buffer
	if err := export.WritePprofMessage(&b, &export.Profile{Merge: one.merge, Kind: one.kind}); err != nil {
		return nil, fmt.Errorf("write pprof: %w", err)
	}
	out := new(googlev1.Profile)
	if err := out.UnmarshalVT(b.Bytes()); err != nil {
		return nil, fmt.Errorf("read pprof: %w", err)
	}
	out.TimeNanos = q.times.end * int64(time.Millisecond)
	out.DurationNanos = (q.times.end - q.times.start) * int64(time.Millisecond)
	out.PeriodType = &googlev1.ValueType{Type: intern(out, q.id.Period.Type), Unit: intern(out, q.id.Period.Unit)}
	out.Period = parts.period()
	for _, c := range comments {
		out.Comment = append(out.Comment, intern(out, c))
	}
	return out, nil
}

// period returns the period that all parts have, 0 if there is none.
func (m merged) period() (period int64) {
	for i := range m {
		if p := m[i].kind.Period; i > 0 && p != period {
			return 0
		}
		period = m[i].kind.Period
	}
	return period
}

// intern returns the index of a text in the string table of p.
func intern(p *googlev1.Profile, text string) int64 {
	for i, s := range p.StringTable {
		if s == text {
			return int64(i)
		}
	}
	p.StringTable = append(p.StringTable, text)
	return int64(len(p.StringTable) - 1)
}
