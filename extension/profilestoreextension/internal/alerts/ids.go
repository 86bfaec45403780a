package alerts

import (
	"context"
	"errors"

	"github.com/ClickHouse/ch-go/proto"

	"github.com/aperture-collector/aperture-collector/internal/alert"
)

// NewID implements [alert.Store]. A number is taken by storing its row: nobody
// else can, in any process, and the table keeps the highest for ever.
func (s *Store) NewID(ctx context.Context, dialect string) (uint64, error) {
	select {
	case s.numbering <- struct{}{}:
		defer func() { <-s.numbering }()
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	}
	p := &place{table: "alert_ids", column: "n", dialect: dialect}
	for {
		l, err := s.look(ctx, p, 0)
		if err != nil {
			return 0, err
		}
		n := l.newest + 1
		d := newDialects()
		d.Append(dialect)
		err = s.claim(ctx, p, n, proto.Input{{Name: "dialect", Data: d}, {Name: "n", Data: proto.ColUInt64{n}}}, newNonce())
		// Whoever lost tries the next number: somebody has won.
		if err == nil || !errors.Is(err, alert.ErrConflict) || ctx.Err() != nil {
			return n, err
		}
	}
}
