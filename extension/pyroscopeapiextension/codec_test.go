package pyroscopeapiextension

import (
	"testing"

	querierv1 "github.com/grafana/pyroscope/api/gen/proto/go/querier/v1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

func TestCodec(t *testing.T) {
	want := &querierv1.FlameGraph{Names: []string{"total", "ä"}, Levels: []*querierv1.Level{{Values: []int64{0, -1, 1 << 60}}}, Total: 7}
	data, err := codec{}.Marshal(want)
	require.NoError(t, err)
	var got querierv1.FlameGraph
	require.NoError(t, codec{}.Unmarshal(data, &got))
	assert.True(t, proto.Equal(want, &got))
	data, err = codec{}.Marshal(wrapperspb.String("x"))
	require.NoError(t, err)
	assert.Equal(t, "\n\x01x", string(data))

	require.Error(t, codec{}.Unmarshal([]byte("\x0a\x01\xff"), new(querierv1.FlameGraph)), "names are UTF-8")
	_, err = codec{}.Marshal("x")
	require.ErrorContains(t, err, "marshal string")
	require.ErrorContains(t, codec{}.Unmarshal(nil, "x"), "unmarshal string")
}
