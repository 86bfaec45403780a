package pyroscopereceiver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"connectrpc.com/connect"
	pushv1 "github.com/grafana/pyroscope/api/gen/proto/go/push/v1"
	"github.com/grafana/pyroscope/api/gen/proto/go/push/v1/pushv1connect"

	"github.com/aperture-collector/aperture-collector/internal/pyroscope/ingest"
	"github.com/aperture-collector/aperture-collector/internal/pyroscope/pyrotenant"
)

// formatPush is the format of push.v1 in telemetry.
const formatPush = "push"

// pusher answers push.v1.PusherService.
type pusher struct{ r *pyroscopeReceiver }

var _ pushv1connect.PusherServiceHandler = (*pusher)(nil)

// Push takes profiles of pprof of any number of series.
func (p *pusher) Push(ctx context.Context, req *connect.Request[pushv1.PushRequest]) (*connect.Response[pushv1.PushResponse], error) {
	q, err := p.r.begin(req.Header(), formatPush)
	defer q.leave()
	if err == nil {
		err = p.take(ctx, q, req.Msg)
	}
	if refused := q.end(ctx, err); refused != nil {
		return nil, refused.Connect()
	}
	return connect.NewResponse(&pushv1.PushResponse{}), nil
}

func (p *pusher) take(ctx context.Context, q *request, msg *pushv1.PushRequest) error {
	size := int64(0)
	for _, series := range msg.GetSeries() {
		for _, s := range series.GetSamples() {
			size += int64(len(s.GetRawProfile()))
		}
	}
	if len(msg.GetSeries()) == 0 {
		return invalidPush("no profiles received")
	}
	if err := q.res.grow(size); err != nil {
		return err
	}
	p.r.telemetry.ReceiverPyroscopeSize.Add(ctx, size, formWire)
	if err := q.wait(ctx); err != nil {
		return err
	}
	b := ingest.NewBatch(q.tenant, q.state.ingest, time.Now())
	for _, raw := range msg.GetSeries() {
		labels := make([]ingest.Label, len(raw.GetLabels()))
		for i, l := range raw.GetLabels() {
			labels[i] = ingest.Label{Name: l.GetName(), Value: l.GetValue()}
		}
		series, err := ingest.NewSeries(labels)
		if err != nil {
			return err
		}
		for _, s := range raw.GetSamples() {
			o := ingest.PprofOptions{Time: q.start, ID: s.GetID()}
			if err := b.Pprof(s.GetRawProfile(), series, o); err != nil {
				return pushError(err)
			}
			if err := q.reserveDecoded(b.Bytes); err != nil {
				return err
			}
		}
	}
	// The message is not needed any more, but the caller holds it.
	msg.Series = nil
	return q.deliver(ctx, b, func() {})
}

const (
	// unreserved is how much of the inflated profiles of a push may become what it
	// becomes: as much as one profile is by default, which is not reserved either.
	unreserved = 4 * mib
	// decodedFactor is how many times its size a profile takes at most, about.
	decodedFactor = 16
)

// reserveDecoded reserves the memory for what many profiles become, which have so many
// bytes inflated: messages that small profiles are in, gzipped, say nothing of it.
func (q *request) reserveDecoded(inflated int64) error {
	need := decodedFactor * max(inflated-unreserved, 0)
	if need > q.cfg.MaxInflightSize {
		return &pyrotenant.Error{
			Status: http.StatusBadRequest, Code: connect.CodeInvalidArgument, Reason: ingest.ReasonTooLarge,
			Message: fmt.Sprintf("inflated profiles of a push have more than %d bytes together; send less at once", q.cfg.MaxInflightSize/decodedFactor+unreserved),
		}
	}
	if err := q.res.grow(max(need-q.decoded, 0)); err != nil {
		return err
	}
	q.decoded = max(need, q.decoded)
	return nil
}

func invalidPush(message string) *pyrotenant.Error {
	return &pyrotenant.Error{Status: http.StatusBadRequest, Code: connect.CodeInvalidArgument, Reason: "format", Message: message}
}

// pushError gives profiles that cannot be decoded the code that clients know.
func pushError(err error) error {
	var read *ingest.Error
	if errors.Is(err, ingest.ErrBody) && errors.As(err, &read) {
		return &pyrotenant.Error{Status: http.StatusInternalServerError, Code: connect.CodeUnknown, Reason: read.Reason, Message: read.Error()}
	}
	return err
}

// pushGuard lets messages be read only as far as there is room for them.
type pushGuard struct {
	r       *pyroscopeReceiver
	next    http.Handler
	refusal *connect.ErrorWriter
}

func (g *pushGuard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// Those without a tenant need not be read at all.
	if _, err := pyrotenant.Of(r.Header, g.r.cfg.Multitenancy); err != nil && g.refusal.IsSupported(r) {
		q, _ := g.r.begin(r.Header, formatPush)
		defer q.leave()
		// The client may not wait for the answer.
		_ = g.refusal.Write(w, r, q.end(r.Context(), err).Connect())
		return
	}
	res := g.r.budget.reserve()
	defer res.release()
	r.Body = &guardedBody{ReadCloser: r.Body, res: res, limit: g.r.cfg.pushSize()}
	handler := g.next
	if isCompressed(r.Header) {
		_, handler = g.r.pushHandler(res)
	}
	handler.ServeHTTP(w, r)
}

// guardedBody reserves what it reads.
type guardedBody struct {
	io.ReadCloser
	res         *reservation
	read, limit int64
}

func (b *guardedBody) Read(to []byte) (int, error) {
	n, err := b.ReadCloser.Read(to)
	if b.read += int64(n); b.read > b.limit {
		return 0, bodyTooLarge("found more", b.limit).Connect()
	}
	if e := b.res.grow(int64(n)); e != nil {
		return 0, unavailable("busy", e).Connect()
	}
	return n, err
}
