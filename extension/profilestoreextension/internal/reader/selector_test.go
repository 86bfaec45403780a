package reader

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chconn"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

const (
	waitFor = 10 * time.Second
	tick    = time.Millisecond
)

// TestLabelConditions: what callers gave is in parameters only.
func TestLabelConditions(t *testing.T) {
	agent := "a'; DROP"
	var p chconn.Params
	got, err := LabelConditions(profilestore.Selector{Tenant: "t", AgentID: &agent}, &p)
	require.NoError(t, err)
	assert.Equal(t, "labels['aperture.agent.id'] = {agent:String}", got)
	got, err = LabelConditions(profilestore.Selector{Tenant: "t"}, &p)
	require.NoError(t, err)
	assert.Empty(t, got)
}
