package tracker

import (
	"os"
	"testing"

	"github.com/aperture-collector/aperture-collector/internal/ebpftest"
)

func TestMain(m *testing.M) {
	if os.Getenv(programEnv) != "" {
		os.Exit(runProgram())
	}
	ebpftest.Main(m)
}
