package reader

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chconn"
	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

const (
	waitFor = 10 * time.Second
	tick    = time.Millisecond
)

// TestLabelConditions: what callers say is in parameters, never in the text.
func TestLabelConditions(t *testing.T) {
	agent := "agent'1"
	var params chconn.Params
	sel := profilestore.Selector{AgentID: &agent, Matchers: []profilestore.Matcher{
		{Name: "a'b", Value: "c", Op: profilestore.MatchNotEqual}, {Name: "d", Value: "e|f", Op: profilestore.MatchNotRegexp},
	}}
	got, err := LabelConditions(sel, &params)
	require.NoError(t, err)
	assert.Equal(t, "labels['aperture.agent.id'] = {agent:String} AND labels[{n0:String}] != {v0:String} AND NOT match(labels[{n1:String}], {v1:String})", got)
	for _, bad := range [][]profilestore.Matcher{
		{{Op: 9}}, {{Value: "(", Op: profilestore.MatchRegexp}}, make([]profilestore.Matcher, maxMatchers+1),
	} {
		_, err := LabelConditions(profilestore.Selector{Matchers: bad}, &params)
		require.ErrorIs(t, err, profile.ErrInvalid)
	}
}
