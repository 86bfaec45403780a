package apertureapiextension

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// Profiles of others under the name of one of our kinds do not take its place.
func TestMainKind(t *testing.T) {
	foreign := profilestore.KindMerge{Kind: profile.KindCPU, Types: []profile.ValueType{{Type: "alloc", Unit: "bytes"}}}
	own := profilestore.KindMerge{Kind: profile.KindCPU, Types: profile.Types(profile.KindCPU)}
	assert.Equal(t, own, *mainKind(&profilestore.Merge{Kinds: []profilestore.KindMerge{foreign, own}}))
	assert.Equal(t, foreign, *mainKind(&profilestore.Merge{Kinds: []profilestore.KindMerge{foreign}}))
}
