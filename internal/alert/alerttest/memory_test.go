package alerttest

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/aperture-collector/aperture-collector/internal/alert"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestMemory(t *testing.T) {
	store := alert.NewMemory()
	TestStore(t, func() alert.Store { return store })
}
