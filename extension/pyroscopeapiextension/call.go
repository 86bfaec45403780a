package pyroscopeapiextension

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"connectrpc.com/connect"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/aperture-collector/aperture-collector/internal/profilestore"
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
	leave, err := a.slots.enter(tenant, a.cfg.Limits.MaxConcurrentQueries)
	if err != nil {
		return err
	}
	defer leave()
	ctx, cancel := context.WithTimeout(ctx, a.cfg.QueryTimeout)
	defer cancel()
	return cause(ctx, f(ctx, tenant))
}

// slots counts the queries of each tenant. It is safe for concurrent use.
type slots struct {
	mu   sync.Mutex
	used map[string]int
}

// enter takes a slot; leave gives it back. The error wraps [profilestore.ErrBusy].
func (s *slots) enter(tenant string, limit int) (leave func(), err error) {
	if limit <= 0 {
		return func() {}, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.used[tenant] >= limit {
		return nil, fmt.Errorf("%w: tenant has %d queries running; `limits::max_concurrent_queries` is %d", profilestore.ErrBusy, s.used[tenant], limit)
	}
	if s.used == nil {
		s.used = make(map[string]int)
	}
	s.used[tenant]++
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.used[tenant]--; s.used[tenant] == 0 {
			delete(s.used, tenant)
		}
	}, nil
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
