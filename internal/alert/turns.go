package alert

import (
	"context"
	"sync"
)

// turns lets those of one tenant do something one after the other. The zero value is
// ready for use.
type turns struct {
	mu      sync.Mutex
	tenants map[string]*turn
}

// turn is that of one tenant, as long as somebody has it or waits for it.
type turn struct {
	sem   chan struct{}
	users int
}

// take waits for the turn of a tenant. The error is the cause of the end of ctx.
func (t *turns) take(ctx context.Context, tenant string) (release func(), err error) {
	t.mu.Lock()
	own := t.tenants[tenant]
	if own == nil {
		if t.tenants == nil {
			t.tenants = map[string]*turn{}
		}
		own = &turn{sem: make(chan struct{}, 1)}
		t.tenants[tenant] = own
	}
	own.users++
	t.mu.Unlock()
	select {
	case own.sem <- struct{}{}:
		return func() {
			<-own.sem
			t.leave(tenant, own)
		}, nil
	case <-ctx.Done():
		t.leave(tenant, own)
		return nil, context.Cause(ctx)
	}
}

func (t *turns) leave(tenant string, own *turn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if own.users--; own.users == 0 {
		delete(t.tenants, tenant)
	}
}
