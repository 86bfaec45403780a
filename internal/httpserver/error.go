package httpserver

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"strconv"
	"time"
)

// RequestIDHeader carries the identity of a request: a client may send one, and
// every answer has one.
const RequestIDHeader = "X-Request-Id"

// maxRequestID is the longest identity that is taken over from a client.
const maxRequestID = 128

// NewRequestID returns the identity of a request: what the client sent, if that
// is harmless in logs and headers, else a random one.
func NewRequestID(client string) string {
	if validRequestID(client) {
		return client
	}
	return rand.Text()
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

type requestIDKey struct{}

// WithRequestID returns a context that carries the identity of a request.
func WithRequestID(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, requestIDKey{}, id)
}

// RequestID returns the identity of the request that ctx belongs to, empty
// where it has none.
func RequestID(ctx context.Context) string {
	id, _ := ctx.Value(requestIDKey{}).(string)
	return id
}

type errorBody struct {
	Error     string `json:"error"`
	RequestID string `json:"request_id,omitempty"`
}

// WriteError answers a request with a status and {"error": message,
// "request_id": …}. Nothing must have been written before.
func WriteError(w http.ResponseWriter, r *http.Request, status int, message string) {
	// A struct of two strings always marshals.
	body, _ := json.Marshal(errorBody{Error: message, RequestID: RequestID(r.Context())})
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Del("Content-Disposition")
	h.Del("Content-Encoding")
	h.Set("Content-Length", strconv.Itoa(len(body)+1))
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n'))
}

// WriteRetry is [WriteError] for failures that pass: after, rounded up to whole
// seconds, is when the client should try again.
func WriteRetry(w http.ResponseWriter, r *http.Request, status int, after time.Duration, message string) {
	seconds := max((after+time.Second-1)/time.Second, 1)
	w.Header().Set("Retry-After", strconv.FormatInt(int64(seconds), 10))
	WriteError(w, r, status, message)
}
