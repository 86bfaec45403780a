package profilebufferprocessor

import (
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
)

// refusal says that nothing of a push was taken and when to try again. It is
// not permanent, and carries a gRPC status that OTLP and Aperture clients
// understand.
type refusal struct {
	code  codes.Code
	text  string
	after time.Duration
}

func (r *refusal) Error() string { return r.text }

// GRPCStatus makes [status.FromError] find the code and the delay.
func (r *refusal) GRPCStatus() *status.Status {
	s := status.New(r.code, r.text)
	if d, err := s.WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(r.after)}); err == nil {
		return d
	}
	return s
}
