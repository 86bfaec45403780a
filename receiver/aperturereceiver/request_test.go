package aperturereceiver

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	aggregatorv1 "github.com/aperture-collector/aperture-collector/proto/aperture/aggregator/v1"
)

func encodedRequest(tb testing.TB) []byte {
	msg, err := proto.Marshal(&aggregatorv1.PushRequest{AgentId: "größe", Sequence: 1 << 63, Payload: []byte("payload")})
	require.NoError(tb, err)
	return msg
}

func TestParsePushRequest(t *testing.T) {
	msg := encodedRequest(t)
	want := pushRequest{agentID: "größe", sequence: 1 << 63, payload: []byte("payload")}
	got, err := parsePushRequest(msg)
	require.NoError(t, err)
	assert.Equal(t, want, got)

	// Fields that are not known, or are known with another type, are skipped.
	msg = protowire.AppendVarint(protowire.AppendTag(msg, 99, protowire.VarintType), 1)
	msg = protowire.AppendBytes(protowire.AppendTag(msg, 2, protowire.BytesType), []byte("not a number"))
	got, err = parsePushRequest(msg)
	require.NoError(t, err)
	assert.Equal(t, want, got)
	// The last one wins.
	msg = protowire.AppendVarint(protowire.AppendTag(msg, 2, protowire.VarintType), 5)
	got, err = parsePushRequest(msg)
	require.NoError(t, err)
	assert.Equal(t, uint64(5), got.sequence)

	// The agent's name outlives the message, which is reused.
	clear(msg)
	assert.Equal(t, "größe", got.agentID)
}

func TestParsePushRequestErrors(t *testing.T) {
	_, err := parsePushRequest([]byte{0x0a, 0x01, 0xff})
	require.EqualError(t, err, "decode request: agent_id is not valid UTF-8")
	_, err = parsePushRequest([]byte{0x00})
	require.ErrorContains(t, err, "decode request: tag at offset 0: ")
	_, err = parsePushRequest([]byte{0x80, 0x80, 0x80, 0x80, 0x10, 0x00})
	require.EqualError(t, err, "decode request: field number at offset 0: found 536870912, the limit is 536870911")
	_, err = parsePushRequest([]byte{0x10, 0x01, 0x1a, 0x05, 0x00})
	require.ErrorContains(t, err, "decode request: field 3 at offset 3: ")
}

// FuzzParsePushRequest compares with the generated code on every input and its
// prefixes.
func FuzzParsePushRequest(f *testing.F) {
	f.Add(encodedRequest(f))
	f.Add([]byte{})
	f.Add([]byte("1000000000\x80\x80\x800\x80\x80\x80\x8000")) // a field number that is too large
	f.Fuzz(func(t *testing.T, data []byte) {
		for n := range min(len(data), 64) + 1 {
			comparePushRequest(t, data[:n])
		}
		comparePushRequest(t, data)
	})
}

func comparePushRequest(t *testing.T, data []byte) {
	var want aggregatorv1.PushRequest
	wantErr := proto.Unmarshal(data, &want)
	got, err := parsePushRequest(data)
	if len(want.AgentId) > maxAgentID {
		assert.Error(t, err)
		return
	}
	require.Equal(t, wantErr == nil, err == nil, "%v; generated: %v", err, wantErr)
	if err != nil {
		return
	}
	if want.AgentId == "" {
		want.AgentId = unknownAgent
	}
	assert.Equal(t, want.AgentId, got.agentID)
	assert.Equal(t, want.Sequence, got.sequence)
	assert.True(t, bytes.Equal(want.Payload, got.payload))
}
