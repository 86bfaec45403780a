package chunkreader

import (
	"context"
	"fmt"
	"runtime"
)

// turns bounds how many queries of all services run at once: each may keep the sums
// of as many stacks as the limits allow, and more of them than there are processors
// take longer together than one after the other. It is safe for concurrent use.
type turns chan struct{}

func newTurns() turns { return make(turns, max(2, runtime.GOMAXPROCS(0))) }

// wait waits for a turn, which done ends. Queries of one service need none.
func (t turns) wait(ctx context.Context, service string) (done func(), err error) {
	if service != "" {
		return func() {}, nil
	}
	select {
	case t <- struct{}{}:
		return func() { <-t }, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for other queries of all services: %w", context.Cause(ctx))
	}
}
