package lockkind

import (
	"testing"

	"github.com/aperture-collector/aperture-collector/internal/ebpftest"
)

func TestMain(m *testing.M) { ebpftest.Main(m) }
