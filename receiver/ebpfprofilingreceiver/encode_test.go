package ebpfprofilingreceiver

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/aperture-collector/aperture-collector/internal/profile"
)

// TestLongWaitsAreValues encodes sums of waits that are more than a value may be:
// what is refused takes all else of its batch with it.
func TestLongWaitsAreValues(t *testing.T) {
	year := uint64(365 * 24 * time.Hour)
	for _, s := range []sample{
		{count: 1, sum: 100 * year, min: 100 * year, max: 100 * year},
		{count: 2, sum: 6 * year, min: 3 * year, max: 3 * year},
		{count: 1000, sum: 500 * year, min: 1, max: year},
		{count: 3, sum: math.MaxUint64, min: math.MaxUint64 / 3, max: math.MaxUint64 / 3},
	} {
		values := pcommon.NewInt64Slice()
		appendMinRestMax(values, &s)
		var sum int64
		for _, v := range values.All() {
			require.Equal(t, profile.Bounded(v), v, s)
			sum += v
		}
		assert.GreaterOrEqual(t, sum, int64(profile.MaxValue), s)
	}
}
