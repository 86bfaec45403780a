package httpserverextension

import (
	"net/http"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

var (
	refusedNotReady    = metric.WithAttributeSet(attribute.NewSet(attribute.String("reason", "not_ready")))
	refusedConcurrency = metric.WithAttributeSet(attribute.NewSet(attribute.String("reason", "concurrency")))
	refusedHost        = metric.WithAttributeSet(attribute.NewSet(attribute.String("reason", "host")))
	refusedCrossOrigin = metric.WithAttributeSet(attribute.NewSet(attribute.String("reason", "cross_origin")))
)

// serve is the innermost handler, after authentication and decompression.
func (s *server) serve(w http.ResponseWriter, r *http.Request) {
	m := s.router.match(r)
	if m.route != nil && m.route.options.Always {
		m.serve(w, r)
		return
	}
	if !s.ready.Load() {
		s.refuse(w, r, refusedNotReady, "not ready: the pipelines are not running")
		return
	}
	if s.slots != nil {
		select {
		case s.slots <- struct{}{}:
			defer func() { <-s.slots }()
		default:
			s.refuse(w, r, refusedConcurrency, "too many concurrent requests")
			return
		}
	}
	s.telemetry.ExtensionHTTPServerActiveRequests.Add(r.Context(), 1)
	defer s.telemetry.ExtensionHTTPServerActiveRequests.Add(r.Context(), -1)
	m.serve(w, r)
}

func (s *server) refuse(w http.ResponseWriter, r *http.Request, why metric.MeasurementOption, message string) {
	s.telemetry.ExtensionHTTPServerRefusedRequests.Add(r.Context(), 1, why)
	s.answer(w, r, http.StatusServiceUnavailable, s.cfg.Limits.RetryAfter, message)
}

func (s *server) forbid(w http.ResponseWriter, r *http.Request, why metric.MeasurementOption, message string) {
	s.telemetry.ExtensionHTTPServerRefusedRequests.Add(r.Context(), 1, why)
	s.answer(w, r, http.StatusForbidden, 0, message)
}
