package pyroscopeapiextension

import (
	"context"
	"fmt"
	"sync"

	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// slots bounds the queries of each tenant that run at a time. It is safe for concurrent
// use.
type slots struct {
	mu      sync.Mutex
	tenants map[string]*tenantSlots
}

// tenantSlots are those of one tenant, as long as it has queries.
type tenantSlots struct {
	users   int           // queries that run or wait
	running chan struct{} // one element for each that runs
}

// maxWaiting bounds the queries of a tenant that wait: user interfaces ask for all
// panels of a page at once.
const maxWaiting = 100

// enter waits for a slot, at most until ctx ends; leave gives it back. The error wraps
// [profilestore.ErrBusy] if too many wait already.
func (s *slots) enter(ctx context.Context, tenant string, limit int) (leave func(), err error) {
	if limit <= 0 {
		return func() {}, nil
	}
	t, err := s.join(tenant, limit)
	if err != nil {
		return nil, err
	}
	select {
	case t.running <- struct{}{}:
		return func() {
			<-t.running
			s.part(tenant, t)
		}, nil
	case <-ctx.Done():
		s.part(tenant, t)
		return nil, fmt.Errorf("wait for other queries of the tenant: %w", context.Cause(ctx))
	}
}

func (s *slots) join(tenant string, limit int) (*tenantSlots, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.tenants[tenant]
	if t == nil {
		if s.tenants == nil {
			s.tenants = make(map[string]*tenantSlots)
		}
		t = &tenantSlots{running: make(chan struct{}, limit)}
		s.tenants[tenant] = t
	}
	if t.users >= limit+maxWaiting {
		return nil, fmt.Errorf("%w: %d queries of the tenant wait; `limits::max_concurrent_queries` is %d", profilestore.ErrBusy, maxWaiting, limit)
	}
	t.users++
	return t, nil
}

func (s *slots) part(tenant string, t *tenantSlots) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t.users--; t.users == 0 {
		delete(s.tenants, tenant)
	}
}
