package pyroscopereceiver

import (
	"context"
	"errors"
	"net/http"
	"time"

	"connectrpc.com/connect"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/aperture-collector/aperture-collector/internal/pyroscope/ingest"
	"github.com/aperture-collector/aperture-collector/internal/pyroscope/pyrotenant"
)

// retryDelay is how long clients are asked to wait before they push again. It is the
// length of a window, after which there may be room again.
const retryDelay = time.Second

// refusal returns the answer to a request that failed.
func refusal(ctx context.Context, err error) *pyrotenant.Error {
	var known *pyrotenant.Error
	var read *ingest.Error
	switch {
	case errors.As(err, &known):
		return known
	case errors.As(err, &read):
		e := &pyrotenant.Error{Status: http.StatusBadRequest, Code: connect.CodeInvalidArgument, Reason: read.Reason, Message: read.Error()}
		if errors.Is(err, ingest.ErrBody) {
			e.Status, e.Code = http.StatusUnprocessableEntity, connect.CodeUnknown
		}
		return e
	case errors.Is(err, pyrotenant.ErrUnauthenticated):
		return &pyrotenant.Error{Status: http.StatusUnauthorized, Code: connect.CodeUnauthenticated, Reason: "tenant", Message: err.Error()}
	case errors.Is(err, errBusy):
		return unavailable("busy", err)
	}
	return pipelineError(ctx, err)
}

func unavailable(reason string, err error) *pyrotenant.Error {
	return &pyrotenant.Error{Status: http.StatusServiceUnavailable, Code: connect.CodeUnavailable, Reason: reason, Message: err.Error(), RetryAfter: retryDelay}
}

// reasonPipeline is that of what the pipeline did not take.
const reasonPipeline = "pipeline"

// pipelineError returns the answer to a request that the pipeline did not take: a
// refusal, or that it may be tried again.
func pipelineError(ctx context.Context, err error) *pyrotenant.Error {
	final := &pyrotenant.Error{Status: http.StatusBadRequest, Code: connect.CodeInvalidArgument, Reason: reasonPipeline, Message: err.Error()}
	if consumererror.IsPermanent(err) {
		return final
	}
	if ctx.Err() != nil {
		return &pyrotenant.Error{Status: http.StatusRequestTimeout, Code: connect.CodeDeadlineExceeded, Reason: reasonPipeline, Message: err.Error()}
	}
	again := unavailable(reasonPipeline, err)
	st, ok := status.FromError(err)
	if !ok {
		return again
	}
	switch st.Code() {
	case codes.InvalidArgument, codes.Unimplemented, codes.FailedPrecondition, codes.PermissionDenied:
		return final
	case codes.ResourceExhausted:
		again.Status, again.Code = http.StatusTooManyRequests, connect.CodeResourceExhausted
	}
	for _, d := range st.Details() {
		if info, ok := d.(*errdetails.RetryInfo); ok && info.GetRetryDelay().AsDuration() > 0 {
			again.RetryAfter = info.GetRetryDelay().AsDuration()
		}
	}
	return again
}
