package profilestoreextension

import (
	"context"
	"fmt"

	"go.uber.org/zap"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/firstlayout"
)

// convert moves observations of the first layout, if there are any, which may take
// long; until then the store is away.
func (s *store) convert(ctx context.Context) error {
	began := false
	c := s.conn.Load()
	err := firstlayout.Convert(ctx, c.pool, firstlayout.Options{
		Tables: s.tables(), Everywhere: c.everywhere, MaxMemoryUsage: s.cfg.Query.MaxMemoryUsage,
		OnProgress: func(done, all int) {
			if !began {
				began = true
				s.set.Logger.Info("moving observations of the first layout", zap.Int("hours", all))
			}
			s.setAway(fmt.Errorf("observations of the first layout are being moved: %d of %d hours are done", done, all))
		},
	})
	if err == nil && began {
		s.set.Logger.Info("observations of the first layout are moved")
	}
	return err
}
