package pyroscopeapiextension

import (
	"math"
	"time"

	"github.com/prometheus/common/model"

	"github.com/aperture-collector/aperture-collector/internal/profilestore"
	"github.com/aperture-collector/aperture-collector/internal/pyroscope/selector"
)

// timeRange is in milliseconds since 1970, both ends included.
type timeRange struct{ start, end int64 }

// maxMillis keeps times within what they are in nanoseconds.
const maxMillis = math.MaxInt64/int64(time.Millisecond) - 1

// checkRange checks the range of a query for data and cuts it to what may be looked
// at. all is false if that is nothing.
func (l *LimitsConfig) checkRange(r timeRange, now time.Time) (cut timeRange, some bool, err error) {
	switch {
	case r.start == 0 || r.end == 0:
		return r, false, selector.Invalid("missing time range in the query")
	case r.start < 0 || r.start > maxMillis || r.end < 0 || r.end > maxMillis:
		return r, false, selector.Invalid("time range is from %d to %d ms; both must be from 0 to %d", r.start, r.end, maxMillis)
	case r.start > r.end:
		return r, false, selector.Invalid("query start time is after end time")
	}
	if l.MaxQueryLookback > 0 {
		oldest := now.Add(-l.MaxQueryLookback).UnixMilli()
		if r.end < oldest {
			return r, false, nil
		}
		r.start = max(r.start, oldest)
	}
	if length := time.Duration(min(r.end-r.start, maxMillis)) * time.Millisecond; l.MaxQueryLength > 0 && length > l.MaxQueryLength {
		return r, false, selector.Invalid("the query time range exceeds the limit (max_query_length, actual: %s, limit: %s)",
			length, model.Duration(l.MaxQueryLength))
	}
	return r, true, nil
}

// checkLabelRange checks the range of a query for labels, where 0 is no bound.
func checkLabelRange(r timeRange) error {
	if r.start < 0 || r.start > maxMillis || r.end < 0 || r.end > maxMillis {
		return selector.Invalid("time range is from %d to %d ms; both must be from 0 to %d", r.start, r.end, maxMillis)
	}
	if r.end != 0 && r.start > r.end {
		return selector.Invalid("query start time is after end time")
	}
	return nil
}

// bound has sel select profiles that begin in the range, to the millisecond.
func (r timeRange) bound(sel *profilestore.Selector) {
	sel.Start = r.start * int64(time.Millisecond)
	if r.end != 0 {
		sel.End = (r.end + 1) * int64(time.Millisecond)
	}
}

// nodes returns how many nodes a flame graph may have, 0 for no bound. asked is 0 if
// the request does not say.
func (c *Config) nodes(asked int64) (int64, error) {
	l := &c.Limits
	if asked < 0 {
		return 0, selector.Invalid("max nodes is %d; it must not be negative", asked)
	}
	if asked == 0 {
		return l.MaxFlamegraphNodesDefault, nil
	}
	if l.MaxFlamegraphNodesMax > 0 && asked > l.MaxFlamegraphNodesMax {
		if !c.Compatibility.RefuseMaxNodes {
			return l.MaxFlamegraphNodesMax, nil
		}
		return 0, selector.Invalid("max flamegraph nodes limit %d is greater than allowed %d", asked, l.MaxFlamegraphNodesMax)
	}
	return asked, nil
}
