package reader

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// Limits bound the queries of one tenant. What is zero is not bounded beyond what
// every query is.
type Limits struct {
	// MaxExecutionTime, MaxMemoryUsage (bytes) and MaxRows (of a result) are those of
	// a single query.
	MaxExecutionTime time.Duration
	MaxMemoryUsage   int64
	MaxRows          int64
	// MaxConcurrent bounds the operations of the tenant that run at once. Further
	// ones wait, as long as one query may take.
	MaxConcurrent int
}

// within returns limits that are not above those of o.
func (l Limits) within(o *Options) Limits {
	l.MaxExecutionTime = lower(l.MaxExecutionTime, o.MaxExecutionTime)
	l.MaxMemoryUsage = lower(l.MaxMemoryUsage, o.MaxMemoryUsage)
	l.MaxRows = lower(l.MaxRows, o.MaxRows)
	return l
}

// lower returns the lower of two limits, of which 0 is none.
func lower[T int64 | time.Duration](a, b T) T {
	if a <= 0 || b > 0 && b < a {
		return b
	}
	return a
}

type limitsKey struct{}

// Admit returns the context that all queries of one operation must use: they are
// bound by the limits of its tenant. done must be called when it has ended.
func (r *Reader) Admit(ctx context.Context, tenant string) (_ context.Context, done func(), err error) {
	if r.opts.Limits == nil {
		return ctx, func() {}, nil
	}
	l := r.opts.Limits(tenant).within(&r.opts)
	done, err = r.tenants.enter(ctx, tenant, &l)
	return context.WithValue(ctx, limitsKey{}, l), done, err
}

// limits returns those that a query is bound by.
func (r *Reader) limits(ctx context.Context) Limits {
	if l, ok := ctx.Value(limitsKey{}).(Limits); ok {
		return l
	}
	return Limits{}.within(&r.opts)
}

// tenants counts the operations that run by tenant.
type tenants struct {
	mu      sync.Mutex
	running map[string]*tenantSlots
}

// tenantSlots are there while operations of a tenant run or wait.
type tenantSlots struct {
	slots chan struct{}
	users int
}

func (t *tenants) enter(ctx context.Context, tenant string, l *Limits) (done func(), err error) {
	if l.MaxConcurrent <= 0 {
		return func() {}, nil
	}
	s := t.of(tenant, l.MaxConcurrent)
	wait := time.NewTimer(l.MaxExecutionTime)
	defer wait.Stop()
	if l.MaxExecutionTime <= 0 {
		wait.Stop()
	}
	select {
	case s.slots <- struct{}{}:
		return func() {
			<-s.slots
			t.leave(tenant, s)
		}, nil
	case <-ctx.Done():
		err = fmt.Errorf("wait for other queries of the tenant: %w", context.Cause(ctx))
	case <-wait.C:
		err = fmt.Errorf("%w: %d queries of the tenant run already, which is its limit; waited %s", profilestore.ErrBusy, cap(s.slots), l.MaxExecutionTime)
	}
	t.leave(tenant, s)
	return nil, err
}

func (t *tenants) of(tenant string, n int) *tenantSlots {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.running[tenant]
	if s == nil {
		if t.running == nil {
			t.running = make(map[string]*tenantSlots)
		}
		s = &tenantSlots{slots: make(chan struct{}, n)}
		t.running[tenant] = s
	}
	s.users++
	return s
}

func (t *tenants) leave(tenant string, s *tenantSlots) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s.users--; s.users == 0 {
		delete(t.running, tenant)
	}
}
