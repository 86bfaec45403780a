// Package retryable makes errors that say: nothing was taken, try again later.
package retryable

import (
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
)

// Error is an error that is worth a retry. Receivers find its gRPC status, with
// RetryInfo, by [status.FromError]; it is never permanent to the collector.
type Error struct {
	code  codes.Code
	cause error
	after time.Duration
}

// New returns an Error with that status code (ResourceExhausted for overload,
// Unavailable otherwise) that asks to wait for after before the next try.
func New(code codes.Code, cause error, after time.Duration) *Error {
	return &Error{code: code, cause: cause, after: after}
}

// Error returns the text of the cause.
func (e *Error) Error() string { return e.cause.Error() }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.cause }

// GRPCStatus returns the status with the delay as RetryInfo.
func (e *Error) GRPCStatus() *status.Status {
	s := status.New(e.code, e.cause.Error())
	if d, err := s.WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(e.after)}); err == nil {
		return d
	}
	return s
}
