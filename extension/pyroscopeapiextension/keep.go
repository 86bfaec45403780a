package pyroscopeapiextension

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension/xextension/storage"

	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// keeper keeps small things by key: a storage extension, or memory. It is safe for
// concurrent use. What is not there is nil.
type keeper interface {
	Get(ctx context.Context, key string) ([]byte, error)
	Set(ctx context.Context, key string, value []byte) error
	Delete(ctx context.Context, key string) error
	Close(ctx context.Context) error
}

// openKeeper returns the storage extension that is configured, else memory.
func openKeeper(ctx context.Context, host component.Host, id *component.ID, own component.ID) (keeper, error) {
	if id == nil {
		return &memory{values: make(map[string][]byte)}, nil
	}
	ext, ok := host.GetExtensions()[*id]
	if !ok {
		return nil, fmt.Errorf("find extension `storage: %s`: not in service::extensions", id)
	}
	s, ok := ext.(storage.Extension)
	if !ok {
		return nil, fmt.Errorf("find extension `storage: %s`: it is no storage extension", id)
	}
	client, err := s.GetClient(ctx, component.KindExtension, own, "")
	if err != nil {
		return nil, fmt.Errorf("open `storage: %s`: %w", id, err)
	}
	return client, nil
}

// memory keeps things until the process ends.
type memory struct {
	mu     sync.Mutex
	values map[string][]byte
	bytes  int
	owners map[string]int // bytes by tenant
}

// Bounds of what is kept in memory, in bytes: of all, and of a tenant, so that one does
// not take the room of the others; the largest ad hoc profile fits.
const (
	maxMemory       = 64 << 20
	maxTenantMemory = maxMemory / 3
)

// owner returns the tenant of a key, which is `what/tenant` or `what/tenant/id`.
func owner(key string) string {
	_, rest, _ := strings.Cut(key, "/")
	tenant, _, _ := strings.Cut(rest, "/")
	return tenant
}

// Get implements [keeper].
func (m *memory) Get(_ context.Context, key string) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.values[key], nil
}

// Set implements [keeper]. The error wraps [profilestore.ErrLimit].
func (m *memory) Set(_ context.Context, key string, value []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	old, known := m.values[key]
	grows := len(value) - len(old)
	if !known {
		grows += len(key)
	}
	if m.bytes+grows > maxMemory {
		return fmt.Errorf("%w: %d bytes are kept in memory; configure `storage` to keep more than %d", profilestore.ErrLimit, m.bytes, maxMemory)
	}
	if n := m.owners[owner(key)]; grows > 0 && n+grows > maxTenantMemory {
		return fmt.Errorf("%w: %d bytes of the tenant are kept in memory; configure `storage` to keep more than %d", profilestore.ErrLimit, n, maxTenantMemory)
	}
	m.grow(key, grows)
	m.values[key] = value
	return nil
}

// Delete implements [keeper].
func (m *memory) Delete(_ context.Context, key string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if old, ok := m.values[key]; ok {
		m.grow(key, -len(key)-len(old))
		delete(m.values, key)
	}
	return nil
}

// grow counts bytes of a key.
func (m *memory) grow(key string, n int) {
	m.bytes += n
	if m.owners == nil {
		m.owners = make(map[string]int)
	}
	if m.owners[owner(key)] += n; m.owners[owner(key)] == 0 {
		delete(m.owners, owner(key))
	}
}

// Close implements [keeper].
func (*memory) Close(context.Context) error { return nil }
