package chunkreader

import (
	"context"

	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// begin starts an operation: its queries are bound by the limits of the tenant and
// are steps of its own in a trace. done must be called with how it ended, and
// returns just that.
func (r *Reader) begin(ctx context.Context, sel profilestore.Selector, name string) (_ context.Context, done func(error) error, err error) {
	ctx, step := profilestore.StartStep(ctx, name)
	ctx, leave, err := r.base.Admit(ctx, sel.Tenant)
	if err != nil {
		step.End(err)
		return nil, nil, err
	}
	return ctx, func(err error) error {
		leave()
		step.End(err)
		return err
	}, nil
}
