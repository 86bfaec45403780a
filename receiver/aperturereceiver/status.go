package aperturereceiver

import (
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/collector/consumer/consumererror"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
)

// retryDelay is how long clients are asked to wait before they push again. It is
// the length of a window, after which there may be room again.
const retryDelay = time.Second

// errBusy says that too much data is worked on already.
var errBusy = errors.New("receiver is busy: pushes in work reached max_inflight_size, try again later")

// retryable returns a status that asks the client to push again later.
func retryable(code codes.Code, err error) error {
	st := status.New(code, err.Error())
	if detailed, e := st.WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(retryDelay)}); e == nil {
		st = detailed
	}
	return st.Err()
}

// pipelineStatus tells what becomes of a push that the pipeline did not take: the
// status for an error that may go away, nil for one that will not.
func pipelineStatus(ctx context.Context, err error) error {
	if consumererror.IsPermanent(err) {
		return nil
	}
	if ctx.Err() != nil {
		return status.FromContextError(ctx.Err()).Err()
	}
	code := codes.Unavailable
	if st, ok := status.FromError(err); ok {
		switch st.Code() {
		case codes.InvalidArgument, codes.Unimplemented, codes.FailedPrecondition, codes.PermissionDenied:
			return nil
		case codes.ResourceExhausted:
			code = codes.ResourceExhausted
		}
		for _, d := range st.Details() {
			if _, ok := d.(*errdetails.RetryInfo); ok && st.Code() == code {
				return st.Err()
			}
		}
	}
	return retryable(code, err)
}
