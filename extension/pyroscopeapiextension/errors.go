package pyroscopeapiextension

import (
	"context"
	"errors"
	"net/http"
	"time"

	"connectrpc.com/connect"
	"go.uber.org/zap"

	"github.com/aperture-collector/aperture-collector/internal/httpserver"
	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
	"github.com/aperture-collector/aperture-collector/internal/pyroscope/pyrotenant"
)

// retryAfter is what clients are told to wait while the store is away.
const retryAfter = 2 * time.Second

// errUnsupported is the cause of errors about what there is no answer to.
var errUnsupported = errors.New("not supported")

// answerTo returns how an error is answered.
func answerTo(err error) *pyrotenant.Error {
	out := &pyrotenant.Error{Message: err.Error()}
	switch {
	case errors.Is(err, profile.ErrInvalid):
		out.Status, out.Code = http.StatusBadRequest, connect.CodeInvalidArgument
	case errors.Is(err, pyrotenant.ErrUnauthenticated):
		out.Status, out.Code = http.StatusUnauthorized, connect.CodeUnauthenticated
	case errors.Is(err, errUnsupported):
		out.Status, out.Code = http.StatusNotImplemented, connect.CodeUnimplemented
	case errors.Is(err, profilestore.ErrNotFound):
		out.Status, out.Code = http.StatusNotFound, connect.CodeNotFound
	case errors.Is(err, profilestore.ErrLimit):
		// The same query would meet the same limit again.
		out.Status, out.Code = http.StatusUnprocessableEntity, connect.CodeResourceExhausted
	case errors.Is(err, profilestore.ErrBusy):
		out.Status, out.Code, out.RetryAfter = http.StatusTooManyRequests, connect.CodeResourceExhausted, retryAfter
	case errors.Is(err, profilestore.ErrUnavailable):
		out.Status, out.Code, out.RetryAfter = http.StatusServiceUnavailable, connect.CodeUnavailable, retryAfter
	case errors.Is(err, context.DeadlineExceeded):
		out.Status, out.Code, out.RetryAfter = http.StatusGatewayTimeout, connect.CodeDeadlineExceeded, retryAfter
	case errors.Is(err, context.Canceled):
		// The client is gone, or the server is being shut down.
		out.Status, out.Code, out.RetryAfter = http.StatusServiceUnavailable, connect.CodeCanceled, retryAfter
	default:
		out.Status, out.Code = http.StatusInternalServerError, connect.CodeInternal
	}
	return out
}

// failed returns how an error is answered and logs one that nobody expected.
func (a *api) failed(ctx context.Context, operation string, err error) *pyrotenant.Error {
	out := answerTo(err)
	if out.Status == http.StatusInternalServerError {
		a.logger.Warn("query failed", zap.String("operation", operation),
			zap.String("request_id", httpserver.RequestID(ctx)), zap.Error(err))
	}
	return out
}

// cause returns why a query failed. When its time is over, a driver may say so in
// words of its own.
func cause(ctx context.Context, err error) error {
	if ctxErr := context.Cause(ctx); err != nil && ctxErr != nil {
		return ctxErr
	}
	return err
}
