package aperturereceiver

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/consumer/xconsumer"
	"go.opentelemetry.io/collector/receiver/receiverhelper"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/aperture-collector/aperture-collector/internal/apertureapi"
	"github.com/aperture-collector/aperture-collector/internal/aperturewire"
	"github.com/aperture-collector/aperture-collector/internal/syscallname"
	aggregatorv1 "github.com/aperture-collector/aperture-collector/proto/aperture/aggregator/v1"
	"github.com/aperture-collector/aperture-collector/receiver/aperturereceiver/internal/metadata"
)

// pusher takes pushes. It is safe for concurrent use.
type pusher struct {
	cfg          *Config
	arch         syscallname.Arch
	next         xconsumer.Profiles
	obsrep       *receiverhelper.ObsReport
	telemetry    *metadata.TelemetryBuilder
	backpressure apertureapi.Backpressure // nil without an extension

	inflight atomic.Int64 // bytes of messages in work
	// converting has room for the pushes that are decompressed and converted at a
	// time. Pushes wait for the same window and their agents go on together, so
	// without it hundreds of them would need their buffers at once, to share the
	// processors all the same.
	converting chan struct{}
}

// newConverting returns room for one push per processor.
func newConverting() chan struct{} { return make(chan struct{}, runtime.GOMAXPROCS(0)) }

// inflated holds the buffers of decompressed messages.
var inflated = sync.Pool{New: func() any { return new([]byte) }}

// maxKeptBuffer is the largest buffer that is kept for other messages.
const maxKeptBuffer = 32 * mib

var (
	statusOK     = metric.WithAttributeSet(attribute.NewSet(attribute.String("status", "ok")))
	statusError  = metric.WithAttributeSet(attribute.NewSet(attribute.String("status", "error")))
	formWire     = metric.WithAttributeSet(attribute.NewSet(attribute.String("form", "wire")))
	formInflated = metric.WithAttributeSet(attribute.NewSet(attribute.String("form", "inflated")))
)

// push answers one Push. It releases msg as soon as it needs it no longer, which
// is long before the answer.
func (p *pusher) push(ctx context.Context, msg *rawMessage) (*aggregatorv1.PushResponse, error) {
	start := time.Now()
	events, err := p.take(ctx, msg, start)
	outcome := statusOK
	if err != nil {
		outcome = statusError
	}
	p.telemetry.ReceiverAperturePush.Add(ctx, 1, outcome)
	p.telemetry.ReceiverAperturePushEvents.Add(ctx, int64(events))
	p.telemetry.ReceiverAperturePushDuration.Record(ctx, time.Since(start).Seconds())

	resp := &aggregatorv1.PushResponse{
		Ok:           err == nil,
		Backpressure: p.backpressure != nil && p.backpressure.Backpressure(),
	}
	if err != nil {
		// Not errors.As: a final error may have a status further down.
		if _, ok := err.(interface{ GRPCStatus() *status.Status }); ok {
			return nil, err
		}
		resp.Error = err.Error()
	}
	return resp, nil
}

// take hands a push to the pipeline and returns the number of its events. An
// error that is a gRPC status is the answer of the call: the client may try again
// or in another way. Any other error is final.
func (p *pusher) take(ctx context.Context, raw *rawMessage, now time.Time) (int, error) {
	msg := raw.bytes()
	if limit := p.cfg.MaxMessageSize; int64(len(msg)) > limit {
		return 0, status.Error(codes.OutOfRange, (&sizeError{found: int64(len(msg)), limit: limit}).Error())
	}
	res := reservation{inflight: &p.inflight, limit: p.cfg.MaxInflightSize}
	defer res.release()
	p.telemetry.ReceiverAperturePushSize.Add(ctx, int64(len(msg)), formWire)
	// Before the wait for a turn: what waits is in memory, too.
	if err := res.reserve(len(msg)); err != nil {
		return 0, inflateStatus(err)
	}
	select {
	case p.converting <- struct{}{}:
	case <-ctx.Done():
		return 0, status.FromContextError(ctx.Err()).Err()
	}
	var buf *[]byte
	converting := true
	// converted gives back what converting takes, which is not needed any more
	// while the push waits for its window.
	converted := func() {
		if !converting {
			return
		}
		converting = false
		raw.release()
		if buf != nil && cap(*buf) <= maxKeptBuffer {
			inflated.Put(buf)
		}
		<-p.converting
	}
	defer converted()
	if isGzip(msg) {
		buf = inflated.Get().(*[]byte)
		var err error
		*buf, err = inflate(*buf, msg, int(p.cfg.MaxInflatedSize), res.reserve)
		if err != nil {
			return 0, inflateStatus(err)
		}
		msg = *buf
	}
	p.telemetry.ReceiverAperturePushSize.Add(ctx, int64(len(msg)), formInflated)

	req, err := parsePushRequest(msg)
	if err != nil {
		return 0, err
	}
	return p.consume(ctx, &req, now, converted)
}

// consume converts a request and hands it to the pipeline. It calls converted in
// between; neither req's payload nor what was made of it is used after that.
func (p *pusher) consume(ctx context.Context, req *pushRequest, now time.Time, converted func()) (int, error) {
	ctx = p.obsrep.StartProfilesOp(ctx)
	samples := 0
	var err error
	defer func() { p.obsrep.EndProfilesOp(ctx, metadata.Type.String(), samples, err) }()

	b := batch{agentID: req.agentID, sequence: req.sequence, receivedAt: now.UnixNano()}
	if b.tenant, err = tenantOf(ctx); err != nil {
		return 0, err
	}
	m, err := aperturewire.Decode(req.payload)
	if err != nil {
		return 0, err
	}
	profiles, samples, corrected, err := convert(&m, b, p.arch, p.cfg.MaxProcesses)
	if err != nil {
		// The agent splits the batch, as it does for one that is too long.
		return 0, status.Error(codes.OutOfRange, err.Error())
	}
	corrected.record(ctx, p.telemetry)
	events := m.Len()
	converted()
	if err = p.next.ConsumeProfiles(ctx, profiles); err != nil {
		if st := pipelineStatus(ctx, err); st != nil {
			return 0, st
		}
		return 0, fmt.Errorf("store batch: %w", err)
	}
	return events, nil
}

// inflateStatus returns the answer to a message that could not be decompressed.
func inflateStatus(err error) error {
	var size *sizeError
	switch {
	case errors.As(err, &size):
		return status.Error(codes.OutOfRange, err.Error())
	case errors.Is(err, errBusy):
		return retryable(codes.ResourceExhausted, err)
	}
	return err
}

// reservation is the part of max_inflight_size that one push holds.
type reservation struct {
	inflight *atomic.Int64
	limit    int64
	held     int64
}

// reserve makes the reservation size bytes large, or fails with errBusy.
func (r *reservation) reserve(size int) error {
	grow := int64(size) - r.held
	r.held += grow
	if r.inflight.Add(grow) > r.limit {
		return errBusy
	}
	return nil
}

func (r *reservation) release() { r.inflight.Add(-r.held) }
