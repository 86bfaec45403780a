package chunkreader

import (
	"context"
	"sync"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/chunkrow"
	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// CountEvents implements [profilestore.Reader].
func (r *Reader) CountEvents(ctx context.Context, sel profilestore.Selector) (uint64, error) {
	s, err := r.newScan(sel)
	if err != nil || s.start >= s.end {
		return 0, err
	}
	ctx, done, err := r.begin(ctx, sel, "count_events")
	if err != nil {
		return 0, err
	}
	out, err := r.gather(ctx, s, "count", columns{chunkrow.Rest, chunkrow.Rest | byProfile}, func() sink { return new(counting) })
	if done(err) != nil {
		return 0, err
	}
	return out.(*counting).n, nil
}

// counting is the sink of CountEvents.
type counting struct {
	mu sync.Mutex
	n  uint64
}

func (c *counting) add(n uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n = profile.AddCount(c.n, n)
}

func (c *counting) whole(row *chunkrow.Row) error {
	c.add(row.Events)
	return nil
}

func (c *counting) cut(row *chunkrow.Row, selected func(int) bool) error {
	if err := checkProfileTotals(row, false); err != nil {
		return err
	}
	var n uint64
	for i := range row.Columns.Profiles.Times {
		if selected(i) {
			n = profile.AddCount(n, events(row, i))
		}
	}
	c.add(n)
	return nil
}
