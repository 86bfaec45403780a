package pyroscopeapiextension

import (
	"testing"

	"connectrpc.com/connect"
	querierv1 "github.com/grafana/pyroscope/api/gen/proto/go/querier/v1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A merged profile has the comments of all that it is of, each once.
func TestComments(t *testing.T) {
	f := start(t, nil)
	stacks := map[string][]int64{"main@1": {1}}
	comment := func(text string) []string { return []string{"pprof.profile.comment", text} }
	f.write(t,
		sent{at: 1, labels: comment(`["a, b","second"]`), stacks: stacks},
		sent{at: 2, labels: comment(`["second","third"]`), stacks: stacks},
		sent{at: 3, labels: comment("alone"), stacks: stacks},
		sent{at: 4, service: "other", labels: comment(`["of another"]`), stacks: stacks},
		sent{at: 5, stacks: stacks},
	)
	ask := func(labels string) []string {
		//lint:ignore SA1019 older clients call it
		resp, err := f.rpc.SelectMergeProfile(t.Context(), connect.NewRequest(&querierv1.SelectMergeProfileRequest{
			ProfileTypeID: cpuID, LabelSelector: labels, Start: f.ms(0), End: f.ms(60),
		}))
		require.NoError(t, err)
		return parsed(t, resp.Msg).Comments
	}
	assert.ElementsMatch(t, []string{"a, b", "second", "third", "alone"}, ask(`{service_name="app"}`))
	assert.Equal(t, []string{"of another"}, ask(`{service_name="other"}`))
	assert.Empty(t, ask(`{service_name="nobody"}`))
}
