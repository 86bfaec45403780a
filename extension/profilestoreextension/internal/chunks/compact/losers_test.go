package compact

import (
	"testing"
	"time"

	"github.com/ClickHouse/ch-go/proto"
	"github.com/stretchr/testify/assert"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/chunkrow"
)

// TestLosers: a row of a closed hour that does not count may have been read a moment
// ago, unless a row of minutes has its number; what was erased is not the compactor's.
func TestLosers(t *testing.T) {
	key := keyOf("losers", hourAgo(3))
	const now, delay = int64(1_700_000_000_000), 10 * time.Minute
	row := func(level uint8, age time.Duration, nonce uint64) *stored {
		return &stored{Header: chunkrow.Header{
			Key: key, Level: level, Seq: 1, ID: chunkrow.CompactedRowID(&key, 1),
			Written: now - age.Milliseconds(), Nonce: proto.UInt128{Low: nonce},
		}}
	}
	f := func(name string, want []*stored, wantDue int64, rows ...*stored) {
		t.Helper()
		s := &snapshot{rows: rows, visible: chunkrow.Visible(rows), now: now}
		gone, losers, due := s.replaced(delay)
		assert.Empty(t, gone[0], name)
		assert.Equal(t, want, losers, name)
		assert.Equal(t, wantDue, due, name)
	}
	hour := row(2, time.Hour, 1)
	f("alone", nil, never, hour)
	young, old := row(2, 9*time.Minute, 2), row(2, 10*time.Minute, 3)
	f("young", nil, young.Written+delay.Milliseconds(), young, hour)
	f("old", []*stored{old}, never, hour, old)
	minutes := row(1, time.Hour, 1)
	f("lost to minutes", []*stored{young}, never, minutes, young)
	erased, twice := row(2, time.Hour, 5), row(2, time.Hour, 6)
	erased.Written, twice.Written = hour.Written-1, hour.Written-2
	f("erased", nil, never, hour, erased)
	f("erased twice", nil, never, twice, erased, hour)
	f("erased, and one that lost", []*stored{old}, never, old, erased, hour)
}
