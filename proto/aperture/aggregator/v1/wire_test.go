package aggregatorv1

import (
	"encoding/hex"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
)

// The bytes are written by hand from the field table of the upstream service:
// tag = field<<3 | wire type, 0 for varint and 2 for length-delimited. Explicit
// presence shows in optional fields whose value is zero.
func TestWireBytes(t *testing.T) {
	for _, tc := range []struct {
		name string
		msg  proto.Message
		hex  string
	}{
		{
			"push request",
			&PushRequest{AgentId: "web-1", Sequence: 300, Payload: []byte{1, 2, 255}},
			"0a05" + "7765622d31" + "10" + "ac02" + "1a03" + "0102ff",
		},
		{"push request, empty", &PushRequest{}, ""},
		{"push response", &PushResponse{Ok: true, Error: "no", Backpressure: true}, "0801" + "1202" + "6e6f" + "1801"},
		{"query, empty agent is present", &QueryRequest{AgentId: proto.String(""), Limit: 7}, "0a00" + "1007"},
		{"query, no agent", &QueryRequest{Limit: 7}, "1007"},
		{
			"query storage",
			&QueryStorageRequest{AgentId: proto.String("a"), TimeStartNs: proto.Int64(0), TimeEndNs: proto.Int64(-1), Limit: 1},
			"0a0161" + "1000" + "18" + "ffffffffffffffffff01" + "2001",
		},
		{
			"query response",
			&QueryResponse{
				Batches: []*BatchInfo{{AgentId: "a", Sequence: 1, EventCount: 2, ReceivedAtNs: 3}, {}},
				Error:   "e",
			},
			"0a09" + "0a0161" + "1001" + "1802" + "2003" + "0a00" + "120165",
		},
		{
			"aggregate request",
			&AggregateRequest{AgentId: proto.String("a"), TimeStartNs: proto.Int64(1), TimeEndNs: proto.Int64(2), Limit: 3, EventType: "cpu"},
			"0a0161" + "1001" + "1802" + "2003" + "2a03" + "637075",
		},
		{"aggregate response", &AggregateResponse{ResultJson: "{}", TotalEvents: 128, Error: "e"}, "0a02" + "7b7d" + "108001" + "1a0165"},
		{
			"diff request",
			&DiffRequest{
				BaselineAgentId: proto.String("a"), BaselineStartNs: proto.Int64(1), BaselineEndNs: proto.Int64(2),
				ComparisonAgentId: proto.String("b"), ComparisonStartNs: proto.Int64(3), ComparisonEndNs: proto.Int64(4),
				EventType: "lock", Limit: 5,
			},
			"0a0161" + "1001" + "1802" + "220162" + "2803" + "3004" + "3a04" + "6c6f636b" + "4005",
		},
		{"diff response", &DiffResponse{ResultJson: "{}", Error: "e"}, "0a02" + "7b7d" + "120165"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := proto.MarshalOptions{Deterministic: true}.Marshal(tc.msg)
			require.NoError(t, err)
			assert.Equal(t, tc.hex, hex.EncodeToString(got))

			back := tc.msg.ProtoReflect().New().Interface()
			require.NoError(t, proto.Unmarshal(got, back))
			assert.True(t, proto.Equal(tc.msg, back))
		})
	}
}

func TestServiceNames(t *testing.T) {
	assert.Equal(t, "aperture.aggregator.v1.Aggregator", Aggregator_ServiceDesc.ServiceName)
	assert.Equal(t, "/aperture.aggregator.v1.Aggregator/Push", Aggregator_Push_FullMethodName)
	assert.Equal(t, "/aperture.aggregator.v1.Aggregator/Query", Aggregator_Query_FullMethodName)
	assert.Equal(t, "/aperture.aggregator.v1.Aggregator/QueryStorage", Aggregator_QueryStorage_FullMethodName)
	assert.Equal(t, "/aperture.aggregator.v1.Aggregator/Aggregate", Aggregator_Aggregate_FullMethodName)
	assert.Equal(t, "/aperture.aggregator.v1.Aggregator/Diff", Aggregator_Diff_FullMethodName)
	assert.Empty(t, Aggregator_ServiceDesc.Streams)
}
