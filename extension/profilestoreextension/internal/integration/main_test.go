// Package integration tests the profile_store extension through its public
// interface against a real ClickHouse.
package integration

import (
	"testing"

	"github.com/aperture-collector/aperture-collector/internal/clickhousetest"
)

func TestMain(m *testing.M) { clickhousetest.Main(m) }
