package pyroscopereceiver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"go.opentelemetry.io/collector/consumer/consumererror"

	"github.com/aperture-collector/aperture-collector/internal/pyroscope/ingest"
)

// ingestHandler answers POST /ingest.
type ingestHandler struct{ r *pyroscopeReceiver }

func (h *ingestHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	q, err := h.r.begin(r.Header, string(ingest.Folded))
	defer q.leave()
	if err == nil {
		err = h.take(ctx, q, r)
	}
	if refused := q.end(ctx, err); refused != nil {
		refused.Write(w)
		return
	}
	w.WriteHeader(http.StatusOK)
}

// take reads a request and hands it to the pipeline.
func (h *ingestHandler) take(ctx context.Context, q *request, r *http.Request) error {
	p, err := ingest.ParseParams(r.URL.Query(), r.Header.Get("Content-Type"), q.start)
	if err != nil {
		return err
	}
	q.format = string(p.Format)
	if p.OfSpan() {
		// The samples of one span, which are among those of the whole program too.
		q.refused(ctx, "profile_id")
		return nil
	}
	buf, err := readBody(r, min(h.r.cfg.MaxBodySize, maxBody(q.state.ingest)), q.res)
	if err != nil {
		return err
	}
	release := func() { recycle(buf); buf = nil }
	defer func() { release() }()
	h.r.telemetry.ReceiverPyroscopeSize.Add(ctx, int64(buf.Len()), formWire)
	if err := q.wait(ctx); err != nil {
		return err
	}
	b := ingest.NewBatch(q.tenant, q.state.ingest, time.Now())
	if err := h.decode(q, b, p, buf); err != nil {
		return strict(p, err)
	}
	if err := q.deliver(ctx, b, release); err != nil {
		return strict(p, err)
	}
	return nil
}

// decode adds the profiles of a body to a batch.
func (h *ingestHandler) decode(q *request, b *ingest.Batch, p *ingest.Params, buf *bytes.Buffer) error {
	data := buf.Bytes()
	if len(data) == 0 {
		return nil
	}
	limit := q.state.ingest.Size()
	if p.Format == ingest.JFR {
		limit = q.state.ingest.RecordingSize()
	}
	var config ingest.SampleTypeConfig
	var snapshot []byte
	if p.Multipart {
		fields, err := form(data, p.Boundary, q.res)
		if err != nil {
			return err
		}
		data = fields[fieldProfile]
		if p.Format == ingest.JFR {
			data = fields[fieldJFR]
			if snapshot, err = inflated(fields[fieldLabels], q.state.ingest.Size(), q.res); err != nil {
				return err
			}
		}
		if _, ok := fields[fieldBefore]; ok {
			return unreadable("unsupported client version: field prev_profile is not supported")
		}
		if c := fields[fieldConfig]; len(c) > 0 {
			if config, err = ingest.ParseSampleTypeConfig(c); err != nil {
				return err
			}
		}
		if len(data) == 0 {
			return nil
		}
	}
	if p.Format == ingest.Pprof {
		return b.IngestPprof(p, data, config)
	}
	data, err := inflated(data, limit, q.res)
	if err != nil {
		return err
	}
	switch p.Format {
	case ingest.JFR:
		return b.JFR(p, data, snapshot)
	case ingest.Speedscope:
		return b.Speedscope(p, data)
	}
	return b.Text(p, data)
}

// strict turns what is wrong with profiles of pprof and JFR into what clients know: it
// is always the body that cannot be processed.
func strict(p *ingest.Params, err error) error {
	var read *ingest.Error
	reason := reasonPipeline
	switch {
	case p.Format != ingest.Pprof && p.Format != ingest.JFR:
		return err
	case errors.As(err, &read):
		reason = read.Reason
	case !consumererror.IsPermanent(err):
		return err
	}
	return unprocessable(reason, fmt.Sprintf("pushing IngestInput-%s failed %v", p.Format, err))
}
