package aperturereceiver

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	aggregatorv1 "github.com/aperture-collector/aperture-collector/proto/aperture/aggregator/v1"
)

var apiID = component.MustNewIDWithName("aperture_api", "test")

// withAPI makes the receiver use an API extension.
func withAPI(ext component.Component) serverOptions {
	return serverOptions{config: func(c *Config) { c.API = &apiID }, host: host{apiID: ext}}
}

func TestQueriesReachTheExtension(t *testing.T) {
	ext := new(apiExtension)
	s := startServer(t, withAPI(ext))
	compressed := grpc.UseCompressor(gzip.Name)

	q, err := s.Query(t.Context(), &aggregatorv1.QueryRequest{AgentId: proto.String("a"), Limit: 1}, compressed)
	require.NoError(t, err)
	assert.Equal(t, "query", q.Batches[0].AgentId)
	q, err = s.QueryStorage(t.Context(), &aggregatorv1.QueryStorageRequest{TimeStartNs: proto.Int64(2)})
	require.NoError(t, err)
	assert.Equal(t, "storage", q.Batches[0].AgentId)
	a, err := s.Aggregate(t.Context(), &aggregatorv1.AggregateRequest{EventType: "cpu"}, compressed)
	require.NoError(t, err)
	assert.Equal(t, "{}", a.ResultJson)
	d, err := s.Diff(t.Context(), &aggregatorv1.DiffRequest{EventType: "lock"})
	require.NoError(t, err)
	assert.Equal(t, "[]", d.ResultJson)

	require.Len(t, ext.calls, 4)
	assert.True(t, proto.Equal(&aggregatorv1.QueryRequest{AgentId: proto.String("a"), Limit: 1}, ext.calls[0].(proto.Message)))
	assert.True(t, proto.Equal(&aggregatorv1.QueryStorageRequest{TimeStartNs: proto.Int64(2)}, ext.calls[1].(proto.Message)))
	assert.True(t, proto.Equal(&aggregatorv1.AggregateRequest{EventType: "cpu"}, ext.calls[2].(proto.Message)))
	assert.True(t, proto.Equal(&aggregatorv1.DiffRequest{EventType: "lock"}, ext.calls[3].(proto.Message)))
}

func TestQueriesWithoutExtension(t *testing.T) {
	s := startServer(t, serverOptions{})
	q, err := s.Query(t.Context(), &aggregatorv1.QueryRequest{})
	require.NoError(t, err)
	assert.Equal(t, notConfigured, q.Error)
	q, err = s.QueryStorage(t.Context(), &aggregatorv1.QueryStorageRequest{})
	require.NoError(t, err)
	assert.Equal(t, notConfigured, q.Error)
	a, err := s.Aggregate(t.Context(), &aggregatorv1.AggregateRequest{})
	require.NoError(t, err)
	assert.Equal(t, notConfigured, a.Error)
	d, err := s.Diff(t.Context(), &aggregatorv1.DiffRequest{})
	require.NoError(t, err)
	assert.Equal(t, notConfigured, d.Error)
}

func TestUnknownMethod(t *testing.T) {
	s := startServer(t, serverOptions{})
	err := s.conn.Invoke(t.Context(), "/aperture.aggregator.v1.Aggregator/Nothing", &aggregatorv1.QueryRequest{}, &aggregatorv1.QueryResponse{})
	assert.Equal(t, codes.Unimplemented, status.Code(err))
}
