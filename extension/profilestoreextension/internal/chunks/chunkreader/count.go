package chunkreader

import (
	"context"
	"sync/atomic"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/chunkrow"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// CountEvents implements [profilestore.Reader].
func (r *Reader) CountEvents(ctx context.Context, sel profilestore.Selector) (uint64, error) {
	s, err := newScan(sel)
	if err != nil || s.start >= s.end {
		return 0, err
	}
	out, err := r.gather(ctx, s, "count", columns{0, chunkrow.Times | chunkrow.Series | chunkrow.ProfileTotals}, func() sink { return new(counting) })
	if err != nil {
		return 0, err
	}
	return out.(*counting).n.Load(), nil
}

// counting is the sink of CountEvents.
type counting struct{ n atomic.Uint64 }

func (c *counting) whole(row *chunkrow.Row) error {
	c.n.Add(row.Events)
	return nil
}

func (c *counting) cut(row *chunkrow.Row, selected func(int) bool) error {
	if err := checkProfileTotals(row); err != nil {
		return err
	}
	var n uint64
	for i := range row.Columns.Profiles.Times {
		if selected(i) {
			n += events(row, i)
		}
	}
	c.n.Add(n)
	return nil
}
