package pyroscopeapiextension

import (
	"testing"

	"github.com/aperture-collector/aperture-collector/internal/clickhousetest"
)

// runTests runs all tests with one ClickHouse server, looks for leaks, and exits.
func runTests(m *testing.M) { clickhousetest.Main(m) }
