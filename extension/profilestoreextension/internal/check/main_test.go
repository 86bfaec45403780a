package check

import (
	"testing"

	"github.com/aperture-collector/aperture-collector/internal/clickhousetest"
)

func TestMain(m *testing.M) { clickhousetest.Main(m) }
