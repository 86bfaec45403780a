package reader

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/aperture-collector/aperture-collector/internal/profile"
)

// TestScope: keys of one tenant are its own, and say nothing about their seed.
func TestScope(t *testing.T) {
	id := profile.HashBytes([]byte("stack"))
	a, b := ScopeOf("a"), ScopeOf("b")
	assert.Equal(t, a.Key(id), ScopeOf("a").Key(id))
	assert.NotEqual(t, a.Key(id), b.Key(id))
	assert.NotEqual(t, a.Key(id), a.Key(profile.ID{}))
	assert.NotEqual(t, Scope(profile.HashBytes([]byte("a"))), a)
}
