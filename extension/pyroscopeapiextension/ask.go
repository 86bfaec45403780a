package pyroscopeapiextension

import (
	"encoding/hex"
	"strings"

	querierv1 "github.com/grafana/pyroscope/api/gen/proto/go/querier/v1"
	typesv1 "github.com/grafana/pyroscope/api/gen/proto/go/types/v1"

	"github.com/aperture-collector/aperture-collector/internal/pyroscope/selector"
)

// newStackQuery reads what all requests for profiles have.
func newStackQuery(tenant, typeID, labels string, times timeRange) (*stackQuery, error) {
	id, err := selector.ParseTypeID(typeID)
	if err != nil {
		return nil, err
	}
	if labels == "" {
		return nil, selector.Invalid(`failed to parse label selector "": it is empty; {} selects everything`)
	}
	matchers, err := selector.Parse(labels)
	if err != nil {
		return nil, err
	}
	return &stackQuery{tenant: tenant, id: id, matchers: matchers, times: times}, nil
}

// Bounds of selectors of stacks and observations.
const (
	maxCallSite = 2048
	maxIDs      = 10_000
)

// selectStacks reads a selector of stacks.
func (q *stackQuery) selectStacks(s *typesv1.StackTraceSelector) error {
	if s == nil {
		return nil
	}
	if n := len(s.CallSite); n > maxCallSite {
		return selector.Invalid("stack_trace_selector.call_site has %d frames; the limit is %d", n, maxCallSite)
	}
	for _, l := range s.CallSite {
		q.stacks.callSite = append(q.stacks.callSite, l.GetName())
	}
	if s.GoPgo != nil {
		q.pgo = &goPGO{keep: int(min(s.GoPgo.KeepLocations, maxCallSite)), aggregateCallees: s.GoPgo.AggregateCallees}
	}
	return nil
}

// selectProfiles reads ids of profiles, UUIDs.
func (q *stackQuery) selectProfiles(ids []string) error {
	return eachID("profile_id_selector", ids, 16, func(id []byte) { q.only.profiles = append(q.only.profiles, [16]byte(id)) })
}

func (q *stackQuery) selectSpans(ids []string) error {
	return eachID("span_selector", ids, 8, func(id []byte) { q.only.spans = append(q.only.spans, [8]byte(id)) })
}

func (q *stackQuery) selectTraces(ids []string) error {
	return eachID("trace_id_selector", ids, 16, func(id []byte) { q.only.traces = append(q.only.traces, [16]byte(id)) })
}

// eachID reads ids of a size in bytes, in hexadecimal digits, with hyphens if they are
// UUIDs.
func eachID(field string, texts []string, size int, f func(id []byte)) error {
	if n := len(texts); n > maxIDs {
		return selector.Invalid("%s has %d ids; the limit is %d", field, n, maxIDs)
	}
	for _, text := range texts {
		digits := text
		if size == 16 && len(text) == 36 {
			digits = strings.ReplaceAll(text, "-", "")
		}
		id, err := hex.DecodeString(digits)
		if err != nil || len(id) != size {
			return selector.Invalid("%s has the id %.64q; it must be %d hexadecimal digits", field, text, 2*size)
		}
		f(id)
	}
	return nil
}

// stacktracesQuery reads a request for merged stacks.
func stacktracesQuery(tenant string, r *querierv1.SelectMergeStacktracesRequest) (*stackQuery, error) {
	q, err := newStackQuery(tenant, r.GetProfileTypeID(), r.GetLabelSelector(), timeRange{r.GetStart(), r.GetEnd()})
	if err != nil {
		return nil, err
	}
	for _, err := range []error{
		q.selectStacks(r.GetStackTraceSelector()), q.selectProfiles(r.GetProfileIdSelector()),
		q.selectSpans(r.GetSpanSelector()), q.selectTraces(r.GetTraceIdSelector()),
	} {
		if err != nil {
			return nil, err
		}
	}
	return q, nil
}
