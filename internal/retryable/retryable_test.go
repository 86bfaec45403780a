package retryable

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.uber.org/goleak"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestError(t *testing.T) {
	cause := errors.New("queue is full")
	err := fmt.Errorf("push: %w", New(codes.ResourceExhausted, cause, 3*time.Second))
	require.ErrorIs(t, err, cause)
	assert.False(t, consumererror.IsPermanent(err))
	s, ok := status.FromError(err)
	require.True(t, ok)
	assert.Equal(t, codes.ResourceExhausted, s.Code())
	require.Len(t, s.Details(), 1)
	assert.Equal(t, 3*time.Second, s.Details()[0].(*errdetails.RetryInfo).RetryDelay.AsDuration())
}
