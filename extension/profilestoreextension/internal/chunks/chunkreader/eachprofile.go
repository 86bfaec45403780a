package chunkreader

import (
	"sync"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/chunkrow"
	"github.com/aperture-collector/aperture-collector/internal/chunk"
)

// byProfile are the columns that say what is known of profiles without entries, but
// for durations.
const byProfile = chunkrow.Begins | chunkrow.Series | chunkrow.ProfileTotals

// taker takes profiles one by one, those of a row after its begin.
type taker interface {
	begin(row *chunkrow.Row)
	profile(row *chunkrow.Row, i int) error
}

// eachProfile is the sink of a taker.
type eachProfile struct {
	to        taker
	durations bool // that they are needed

	mu sync.Mutex
}

func (e *eachProfile) whole(row *chunkrow.Row) error { return e.cut(row, nil) }

func (e *eachProfile) cut(row *chunkrow.Row, selected func(int) bool) error {
	if err := checkProfileTotals(row, e.durations); err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.to.begin(row)
	for i := range row.Columns.Profiles.Times {
		if selected != nil && !selected(i) {
			continue
		}
		if err := e.to.profile(row, i); err != nil {
			return err
		}
	}
	return nil
}

// totalsOf returns the sums of a profile.
func totalsOf(row *chunkrow.Row, i int) (out [chunk.MaxTypes]int64) {
	for j, t := range row.Columns.Profiles.Totals {
		if len(t) > 0 {
			out[j] = t[i]
		}
	}
	return out
}
