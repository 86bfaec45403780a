package pyroscopeapiextension

import (
	"context"
	"net/http"
	"time"

	"connectrpc.com/connect"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/aperture-collector/aperture-collector/internal/pyroscope/pyrotenant"
)

// query runs one query: for the tenant of these headers, one of few at a time, for a
// limited time, and counted.
func (a *api) query(ctx context.Context, operation string, h http.Header, f func(ctx context.Context, tenant string) error) error {
	begin := time.Now()
	err := a.runQuery(ctx, h, f)
	// Queries whose client went away count, too.
	ctx = context.WithoutCancel(ctx)
	name, status := attribute.String("operation", operation), "ok"
	if err != nil {
		status = "error"
	}
	a.tel.ExtensionPyroscopeAPIQueryDuration.Record(ctx, time.Since(begin).Seconds(), metric.WithAttributes(name))
	a.tel.ExtensionPyroscopeAPIQueries.Add(ctx, 1, metric.WithAttributes(name, attribute.String("status", status)))
	return err
}

func (a *api) runQuery(ctx context.Context, h http.Header, f func(ctx context.Context, tenant string) error) error {
	tenant, err := pyrotenant.Of(h, a.cfg.Multitenancy)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, a.cfg.QueryTimeout)
	defer cancel()
	leave, err := a.slots.enter(ctx, tenant, a.cfg.Limits.MaxConcurrentQueries)
	if err != nil {
		return err
	}
	defer leave()
	return cause(ctx, f(ctx, tenant))
}

// call answers an RPC that is a query.
func call[Q, R any](ctx context.Context, a *api, operation string, req *connect.Request[Q], f func(ctx context.Context, tenant string, q *Q) (*R, error)) (*connect.Response[R], error) {
	var out *R
	err := a.query(ctx, operation, req.Header(), func(ctx context.Context, tenant string) (err error) {
		out, err = f(ctx, tenant, req.Msg)
		return err
	})
	if err != nil {
		return nil, a.failed(ctx, operation, err).Connect()
	}
	return connect.NewResponse(out), nil
}
