package pyrotenant

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"connectrpc.com/connect"
)

// Error is a refusal as clients get it.
type Error struct {
	// Status is that of HTTP, Code that of Connect and gRPC.
	Status int
	Code   connect.Code
	// Reason is what the refusal is counted under.
	Reason string
	// Message is for the client.
	Message string
	// RetryAfter is when the client may try again; 0 says nothing.
	RetryAfter time.Duration
}

// Error returns the message.
func (e *Error) Error() string { return e.Message }

// Connect returns the error of a Connect or gRPC call, with Retry-After.
func (e *Error) Connect() *connect.Error {
	err := connect.NewError(e.Code, e)
	if e.RetryAfter > 0 {
		err.Meta().Set("Retry-After", e.seconds())
	}
	return err
}

// seconds is RetryAfter, rounded up.
func (e *Error) seconds() string {
	return strconv.FormatInt(int64((e.RetryAfter+time.Second-1)/time.Second), 10)
}

// Refuse answers what a listener refuses before a handler of ours sees it.
func Refuse(w http.ResponseWriter, _ *http.Request, status int, retryAfter time.Duration, message string) {
	e := &Error{Status: status, Code: connect.CodeUnknown, Message: message, RetryAfter: retryAfter}
	switch status {
	case http.StatusBadRequest:
		e.Code = connect.CodeInvalidArgument
	case http.StatusUnauthorized:
		e.Code = connect.CodeUnauthenticated
	case http.StatusForbidden:
		e.Code = connect.CodePermissionDenied
	case http.StatusServiceUnavailable:
		e.Code = connect.CodeUnavailable
	}
	e.Write(w)
}

// Write answers a request with {"code": …, "message": …}. Nothing must have been
// written before.
func (e *Error) Write(w http.ResponseWriter) {
	// A struct of two strings always marshals.
	body, _ := json.Marshal(struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	}{e.Code.String(), e.Message})
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Del("Content-Encoding")
	h.Set("Content-Length", strconv.Itoa(len(body)+1))
	if e.RetryAfter > 0 {
		h.Set("Retry-After", e.seconds())
	}
	w.WriteHeader(e.Status)
	_, _ = w.Write(append(body, '\n'))
}
