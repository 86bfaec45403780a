package pyroscopereceiver

import (
	"context"
	"errors"
	"net/http"
	"time"

	"go.opentelemetry.io/collector/client"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/aperture-collector/aperture-collector/internal/pyroscope/ingest"
	"github.com/aperture-collector/aperture-collector/internal/pyroscope/pyrotenant"
	"github.com/aperture-collector/aperture-collector/receiver/pyroscopereceiver/internal/metadata"
)

var (
	formWire     = metric.WithAttributeSet(attribute.NewSet(attribute.String("form", "wire")))
	formInflated = metric.WithAttributeSet(attribute.NewSet(attribute.String("form", "inflated")))
)

var errStopping = errors.New("receiver is stopping, try again later")

// request is a request in work.
type request struct {
	*pyroscopeReceiver
	format string
	tenant string
	state  *tenantState
	start  time.Time
	res    *reservation
	// decoded is the part of res that is for what profiles become.
	decoded int64
	turn    bool // it has room in converting
	in      bool // it is counted as in work
}

// begin begins to work on a request. The error is a refusal; the request must be ended
// by end, and by leave in any case.
func (r *pyroscopeReceiver) begin(h http.Header, format string) (*request, error) {
	q := &request{pyroscopeReceiver: r, format: format, start: time.Now(), res: r.budget.reserve()}
	if q.in = r.enter(); !q.in {
		return q, unavailable("busy", errStopping)
	}
	var err error
	if q.tenant, err = pyrotenant.Of(h, r.cfg.Multitenancy); err != nil {
		return q, err
	}
	q.state = r.tenants.of(q.tenant, q.start)
	return q, nil
}

// wait waits for a turn to decode.
func (q *request) wait(ctx context.Context) error {
	select {
	case q.converting <- struct{}{}:
		q.turn = true
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// converted gives back what decoding takes, which is not needed while the request waits
// for the pipeline.
func (q *request) converted() {
	q.res.release()
	if q.turn {
		q.turn = false
		<-q.converting
	}
}

// leave gives back what the request holds, also when it panics.
func (q *request) leave() {
	q.converted()
	if q.in {
		q.working.Done()
	}
}

// end counts the request and returns the answer to one that failed.
func (q *request) end(ctx context.Context, err error) *pyrotenant.Error {
	q.converted()
	var refused *pyrotenant.Error
	outcome := "ok"
	if err != nil {
		outcome = "error"
		refused = refusal(ctx, err)
		q.refused(ctx, refused.Reason)
	}
	ctx = context.WithoutCancel(ctx)
	q.telemetry.ReceiverPyroscopeRequests.Add(ctx, 1, metric.WithAttributes(attribute.String("format", q.format), attribute.String("status", outcome)))
	q.telemetry.ReceiverPyroscopeRequestDuration.Record(ctx, time.Since(q.start).Seconds())
	return refused
}

func (q *request) refused(ctx context.Context, reason string) {
	q.telemetry.ReceiverPyroscopeRefused.Add(context.WithoutCancel(ctx), 1, metric.WithAttributes(attribute.String("reason", reason)))
}

// deliver hands a batch to the pipeline. release is called before, when nothing of the
// request is needed any more.
func (q *request) deliver(ctx context.Context, b *ingest.Batch, release func()) (err error) {
	q.telemetry.ReceiverPyroscopeSize.Add(ctx, b.Bytes, formInflated)
	series, samples, err := b.Check()
	if err != nil {
		return err
	}
	release()
	q.converted()
	if samples == 0 {
		return nil
	}
	if err := q.state.admit(b.Bytes, series, time.Now()); err != nil {
		return err
	}
	profiles := b.Profiles.ProfileCount()
	ctx = withoutTenant(ctx)
	ctx = q.obsrep.StartProfilesOp(ctx)
	defer func() { q.obsrep.EndProfilesOp(ctx, metadata.Type.String(), samples, err) }()
	if err = q.next.ConsumeProfiles(ctx, b.Profiles); err != nil {
		// The client may send the same again.
		q.state.giveBack(b.Bytes)
		return err
	}
	format := metric.WithAttributes(attribute.String("format", q.format))
	if b.CommentsDropped > 0 {
		q.telemetry.ReceiverPyroscopeCommentsDropped.Add(ctx, b.CommentsDropped, format)
	}
	q.telemetry.ReceiverPyroscopeProfiles.Add(ctx, int64(profiles), format)
	q.telemetry.ReceiverPyroscopeSamples.Add(ctx, int64(samples), format)
	return nil
}

// withoutTenant returns the context without the client's metadata about the tenant,
// which other components would go by: whose the data is has been decided.
func withoutTenant(ctx context.Context) context.Context {
	info := client.FromContext(ctx)
	if len(info.Metadata.Get(pyrotenant.Header)) == 0 {
		return ctx
	}
	kept := make(map[string][]string)
	for key := range info.Metadata.Keys() {
		if !isTenantKey(key) {
			kept[key] = info.Metadata.Get(key)
		}
	}
	info.Metadata = client.NewMetadata(kept)
	return client.NewContext(ctx, info)
}

func isTenantKey(key string) bool {
	return http.CanonicalHeaderKey(key) == http.CanonicalHeaderKey(pyrotenant.Header)
}
