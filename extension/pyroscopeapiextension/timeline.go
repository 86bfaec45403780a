package pyroscopeapiextension

import (
	"time"

	typesv1 "github.com/grafana/pyroscope/api/gen/proto/go/types/v1"
)

// timeline is a series over time without gaps.
type timeline struct {
	// StartTime and DurationDelta, the distance of samples, are seconds.
	StartTime     int64     `json:"startTime"`
	Samples       []float64 `json:"samples"`
	DurationDelta int64     `json:"durationDelta"`
	Watermarks    *struct{} `json:"watermarks"`
}

// newTimeline returns one of zeros.
func newTimeline(q *seriesQuery) *timeline {
	step := q.step / 1000
	first, last := q.times.start/1000/step, q.times.end/1000/step
	return &timeline{StartTime: first * step, DurationDelta: step, Samples: make([]float64, max(min(last-first, maxSteps), 0))}
}

// fill puts the points of a series in their places.
func (t *timeline) fill(q *seriesQuery, s *typesv1.Series) {
	for _, p := range s.Points {
		if i := (p.Timestamp - q.times.start) / q.step; i >= 0 && i < int64(len(t.Samples)) {
			t.Samples[i] = p.Value
		}
	}
}

// timelinePoints is about how many points the longest timelines have.
const timelinePoints = 1500

// timelineSteps are distances of points that people can read.
var timelineSteps = []time.Duration{
	10 * time.Second, 15 * time.Second, 20 * time.Second, 30 * time.Second, time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute,
	15 * time.Minute, 20 * time.Minute, 30 * time.Minute, time.Hour, 2 * time.Hour, 3 * time.Hour, 6 * time.Hour, 12 * time.Hour,
	24 * time.Hour, 7 * 24 * time.Hour, 30 * 24 * time.Hour,
}

// timelineStep returns the nearest of the steps for a range of time, in milliseconds.
func (c *CompatibilityConfig) timelineStep(r timeRange) int64 {
	steps := timelineSteps
	if c.CoarseTimeline {
		steps = steps[1:]
	}
	wanted := time.Duration(min(max(r.end-r.start, 0), maxMillis)) * time.Millisecond / timelinePoints
	for i, step := range steps[1:] {
		if before := steps[i]; wanted <= before+(step-before)/2 {
			return before.Milliseconds()
		}
	}
	return steps[len(steps)-1].Milliseconds()
}
