package httpserverextension

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"runtime/debug"

	"go.uber.org/zap"

	"github.com/aperture-collector/aperture-collector/internal/httpserver"
)

// maxRequestID is the longest identity that is taken over from a client.
const maxRequestID = 128

// guard is the outermost handler: it names the request and turns a panic into
// an answer.
func (s *server) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := r.Header.Get(httpserver.RequestIDHeader)
		if !validRequestID(id) {
			id = rand.Text()
		}
		w.Header().Set(httpserver.RequestIDHeader, id)
		r = r.WithContext(httpserver.WithRequestID(r.Context(), id))
		tracked := &trackedWriter{ResponseWriter: w}
		defer s.recovered(tracked, r)
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

func validRequestID(id string) bool {
	if id == "" || len(id) > maxRequestID {
		return false
	}
	for i := range len(id) {
		switch c := id[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case c == '-', c == '_', c == '.', c == ':', c == '/', c == '+', c == '=', c == '@':
		default:
			return false
		}
	}
	return true
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
