package bearertest

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/extension/extensionauth"
	"go.uber.org/goleak"

	"github.com/aperture-collector/aperture-collector/internal/bearer"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestStart(t *testing.T) {
	id, ext := Start(t, "secret")
	assert.Equal(t, bearer.ExtensionType, id.Type().String())
	server := ext.(extensionauth.Server)
	_, err := server.Authenticate(t.Context(), map[string][]string{"authorization": {"Bearer secret"}})
	require.NoError(t, err)
	_, err = server.Authenticate(t.Context(), map[string][]string{"authorization": {"Bearer wrong"}})
	require.Error(t, err)
}
