package httpserverextension

import (
	"context"
	"fmt"
	"net/http"
	"runtime/debug"

	"go.uber.org/zap"

	"github.com/aperture-collector/aperture-collector/internal/httpserver"
)

// guard is the outermost handler: it names the request, turns a panic into an
// answer, refuses what other sites make a browser send, and lets probes pass by
// all that stands before next.
func (s *server) guard(from *origins, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := httpserver.NewRequestID(r.Header.Get(httpserver.RequestIDHeader))
		w.Header().Set(httpserver.RequestIDHeader, id)
		r = r.WithContext(httpserver.WithRequestID(r.Context(), id))
		tracked := &trackedWriter{ResponseWriter: w}
		defer s.recovered(tracked, r)
		switch {
		case !from.answers(r.Host):
			s.forbid(tracked, r, refusedHost, fmt.Sprintf("host %.256q is not one of `allowed_hosts`", r.Host))
			return
		case from.crosses(r):
			s.forbid(tracked, r, refusedCrossOrigin, fmt.Sprintf("cross-origin request: origin %.256q is not one of `cors::allowed_origins`", r.Header.Get("Origin")))
			return
		}
		if m := s.router.match(r); m.route != nil && m.route.options.Public {
			m.serve(tracked, r)
			return
		}
		next.ServeHTTP(tracked, r)
	})
}

func (s *server) recovered(w *trackedWriter, r *http.Request) {
	p := recover()
	if p == nil {
		return
	}
	if err, ok := p.(error); ok && err == http.ErrAbortHandler { //nolint:errorlint // a sentinel that net/http compares, too
		panic(p)
	}
	s.telemetry.ExtensionHTTPServerPanics.Add(context.WithoutCancel(r.Context()), 1)
	s.logger.Error("handler panicked",
		zap.String("panic", fmt.Sprint(p)), zap.String("method", r.Method), zap.String("path", r.URL.Path),
		zap.String("request_id", httpserver.RequestID(r.Context())), zap.ByteString("stack", debug.Stack()))
	if w.started {
		// Part of an answer is out: cut the connection, so that the client does
		// not take it for the whole.
		panic(http.ErrAbortHandler)
	}
	httpserver.WriteError(w, r, http.StatusInternalServerError, "internal error")
}

// trackedWriter knows whether the answer has been started.
type trackedWriter struct {
	http.ResponseWriter
	started bool
}

// Unwrap is for [http.ResponseController].
func (w *trackedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *trackedWriter) WriteHeader(status int) {
	// 1xx answers are followed by the real one.
	w.started = w.started || status >= http.StatusOK
	w.ResponseWriter.WriteHeader(status)
}

func (w *trackedWriter) Write(b []byte) (int, error) {
	w.started = true
	return w.ResponseWriter.Write(b)
}

// Flush lets handlers that stream use the writer as an [http.Flusher].
func (w *trackedWriter) Flush() {
	w.started = true
	_ = http.NewResponseController(w.ResponseWriter).Flush()
}
