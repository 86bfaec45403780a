package chserver_test

import (
	"os"
	"testing"

	"github.com/aperture-collector/aperture-collector/internal/clickhousetest"
)

// A test binary that is started again by a test plays another process.
var helpers = map[string]func() error{
	"parent": helperParent,
	"hijack": helperHijack,
}

const helperEnv = "CHSERVER_TEST_HELPER"

func TestMain(m *testing.M) {
	if helper := helpers[os.Getenv(helperEnv)]; helper != nil {
		if err := helper(); err != nil {
			_, _ = os.Stderr.WriteString(err.Error() + "\n")
			os.Exit(1)
		}
		os.Exit(0)
	}
	clickhousetest.Main(m)
}
