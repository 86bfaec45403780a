package apertureapiextension

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"go.uber.org/zap"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/aperture-collector/aperture-collector/internal/alert"
	"github.com/aperture-collector/aperture-collector/internal/httpserver"
	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// errNoStorage is what clients of the Aperture API know the case by: there is
// neither a store nor a buffer that keeps profiles.
var errNoStorage = errors.New("storage not configured (enable ClickHouse)")

// retryAfter is what clients are told to wait while the store is away.
const retryAfter = 2 * time.Second

// fieldError is a fault of the request.
type fieldError struct{ field, message string }

func (e *fieldError) Error() string { return fmt.Sprintf("invalid `%s`: %s", e.field, e.message) }

// invalid returns the error for a bad field of a request; the message says its
// value and what is allowed.
func invalid(field, format string, args ...any) error {
	// Names of labels and of keys that nobody knows are the client's own.
	if len(field) > maxFieldName {
		field = strings.ToValidUTF8(field[:maxFieldName], "") + "…"
	}
	return &fieldError{field, fmt.Sprintf(format, args...)}
}

// maxFieldName is how many bytes of the name of a field an error has.
const maxFieldName = 128

// outcome is how an error is answered.
type outcome struct {
	status int
	code   codes.Code
	retry  bool
}

func outcomeOf(err error) outcome {
	var field *fieldError
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &field), errors.Is(err, profile.ErrInvalid):
		return outcome{status: http.StatusBadRequest, code: codes.InvalidArgument}
	case errors.Is(err, errSlowBody):
		return outcome{status: http.StatusRequestTimeout, code: codes.DeadlineExceeded}
	case errors.As(err, &tooLarge):
		return outcome{status: http.StatusRequestEntityTooLarge, code: codes.OutOfRange}
	case errors.Is(err, profilestore.ErrLimit):
		// The same query would meet the same limit again.
		return outcome{status: http.StatusUnprocessableEntity, code: codes.ResourceExhausted}
	case errors.Is(err, profilestore.ErrBusy):
		return outcome{status: http.StatusTooManyRequests, code: codes.ResourceExhausted, retry: true}
	case errors.Is(err, errDeleteForbidden):
		return outcome{status: http.StatusForbidden, code: codes.PermissionDenied}
	case errors.Is(err, profilestore.ErrNotFound):
		return outcome{status: http.StatusNotFound, code: codes.NotFound}
	case errors.Is(err, errNoStorage):
		return outcome{status: http.StatusServiceUnavailable, code: codes.FailedPrecondition}
	case errors.Is(err, alert.ErrNotFound):
		return outcome{status: http.StatusNotFound, code: codes.NotFound}
	case errors.Is(err, alert.ErrTooManyRules):
		return outcome{status: http.StatusConflict, code: codes.ResourceExhausted}
	case errors.Is(err, alert.ErrConflict):
		// Others were faster again and again.
		return outcome{status: http.StatusServiceUnavailable, code: codes.Aborted, retry: true}
	case errors.Is(err, profilestore.ErrUnavailable):
		return outcome{status: http.StatusServiceUnavailable, code: codes.Unavailable, retry: true}
	case errors.Is(err, context.DeadlineExceeded):
		return outcome{status: http.StatusGatewayTimeout, code: codes.DeadlineExceeded, retry: true}
	case errors.Is(err, context.Canceled):
		// The client is gone, or the server is being shut down.
		return outcome{status: http.StatusServiceUnavailable, code: codes.Canceled, retry: true}
	}
	return outcome{status: http.StatusInternalServerError, code: codes.Internal}
}

// writeError answers an HTTP request with err.
func (a *api) writeError(w http.ResponseWriter, r *http.Request, err error) {
	o := a.failed(r, err)
	if o.retry {
		httpserver.WriteRetry(w, r, o.status, retryAfter, err.Error())
		return
	}
	httpserver.WriteError(w, r, o.status, err.Error())
}

// failed returns how an error is answered and logs one that nobody expected.
func (a *api) failed(r *http.Request, err error) outcome {
	o := outcomeOf(err)
	if o.status == http.StatusInternalServerError {
		a.logger.Warn("query failed", zap.String("path", r.URL.Path),
			zap.String("request_id", httpserver.RequestID(r.Context())), zap.Error(err))
	}
	return o
}

// grpcError returns err as a gRPC status.
func grpcError(err error) error {
	return status.Error(outcomeOf(err).code, err.Error())
}
