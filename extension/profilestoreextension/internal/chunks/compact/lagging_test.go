package compact

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/chunkrow"
)

// TestComplete: a replica that got a row before the one that was stored before it
// must not be trusted, unless that cannot come any more.
func TestComplete(t *testing.T) {
	key := keyOf("lagging", hourAgo(3))
	const now = int64(1_700_000_000_000)
	row := func(seq uint32, age time.Duration, covers ...uint64) *stored {
		return &stored{Header: chunkrow.Header{
			Key: key, Level: chunkrow.Minutes, Seq: seq, ID: chunkrow.CompactedRowID(&key, seq),
			Written: now - age.Milliseconds(), Covers: covers,
		}}
	}
	f := func(want bool, rows ...*stored) {
		t.Helper()
		s := &snapshot{rows: rows, now: now}
		assert.Equal(t, want, s.complete(&key, 10*time.Minute))
	}
	f(true)
	f(true, row(1, 0))
	f(true, row(2, 0), row(1, 0))
	f(false, row(2, 0))
	f(false, row(1, time.Hour), row(3, 0))
	f(false, row(2, 9*time.Minute))
	f(true, row(2, 11*time.Minute))
	f(true, row(3, time.Hour), row(5, 11*time.Minute))
	f(false, row(2, time.Hour), row(3, 0)) // number 1 may be as new as number 3
	f(true, row(2, 0, chunkrow.CompactedRowID(&key, 1)))
	above := row(3, 0, chunkrow.CompactedRowID(&key, 1))
	above.Level, above.ID = chunkrow.ClosedHour, chunkrow.CompactedRowID(&key, 3)
	f(true, row(2, 0), above)
}
