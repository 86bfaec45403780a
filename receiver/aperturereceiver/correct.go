package aperturereceiver

import (
	"context"
	"math"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/aperture-collector/aperture-collector/internal/aperturewire"
	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/receiver/aperturereceiver/internal/metadata"
)

// maxDuration is the longest wait or call that is believed.
const maxDuration = uint64(365 * 24 * time.Hour)

// corrections counts the events of a push that cannot be true. They are put right
// as far as that goes, for the sake of the others in their batch.
type corrections struct {
	times, durations int
}

// event corrects an event that arrived at now, in Unix nanoseconds.
func (c *corrections) event(ev *aperturewire.Event, now int64) {
	if ev.Timestamp > uint64(now)+uint64(profile.MaxAhead) {
		ev.Timestamp = uint64(now)
		c.times++
	}
	switch ev.Kind {
	case aperturewire.KindCPU:
	case aperturewire.KindLock:
		c.duration(&ev.WaitTime)
	default:
		c.duration(&ev.Duration)
	}
}

func (c *corrections) duration(ns *uint64) {
	if *ns <= maxDuration {
		return
	}
	if *ns > math.MaxInt64 {
		*ns = 0 // below 0: from a clock that went back
	} else {
		*ns = maxDuration
	}
	c.durations++
}

var (
	fieldTime     = metric.WithAttributeSet(attribute.NewSet(attribute.String("field", "timestamp")))
	fieldDuration = metric.WithAttributeSet(attribute.NewSet(attribute.String("field", "duration")))
)

func (c *corrections) record(ctx context.Context, t *metadata.TelemetryBuilder) {
	if c.times > 0 {
		t.ReceiverAperturePushCorrected.Add(ctx, int64(c.times), fieldTime)
	}
	if c.durations > 0 {
		t.ReceiverAperturePushCorrected.Add(ctx, int64(c.durations), fieldDuration)
	}
}
