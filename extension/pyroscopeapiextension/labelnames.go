package pyroscopeapiextension

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aperture-collector/aperture-collector/internal/profilestore"
	"github.com/aperture-collector/aperture-collector/internal/pyroscope/selector"
	"github.com/aperture-collector/aperture-collector/internal/pyroscope/typemap"
)

// Bounds of what is listed.
const (
	maxLabelNames  = 10_000
	maxLabelValues = 100_000
	maxLabelSets   = 100_000
)

// labelNames remembers which labels of the store clients know under which name: labels
// with dots are shown with underscores. It is safe for concurrent use.
type labelNames struct {
	store profilestore.Querier

	mu      sync.Mutex
	tenants map[string]*storedNames
}

// storedNames are those of a tenant by the names that clients know, sorted.
type storedNames struct {
	read  time.Time
	names map[string][]string
}

const (
	// namesAge is how long a name that has one meaning may have another by now.
	namesAge = 10 * time.Second
	// missAge is how long a name that was not there is taken to be none: a request may
	// have many, and each would be looked up.
	missAge = time.Second
	// maxNamedTenants bounds those remembered; all are forgotten when there are more.
	maxNamedTenants = 1000
)

// of returns the names that the store has for the label that clients know by name.
func (l *labelNames) of(ctx context.Context, tenant, name string) ([]string, error) {
	public := typemap.Label(name)
	switch {
	case isService(public):
		return []string{profilestore.LabelService}, nil
	case !strings.Contains(public, "_"):
		return []string{public}, nil // no other name looks like it
	}
	known := l.known(tenant)
	if known == nil || known.names[public] == nil && time.Since(known.read) > missAge {
		var err error
		if known, err = l.read(ctx, tenant); err != nil {
			return nil, err
		}
	}
	if list := known.names[public]; list != nil {
		return list, nil
	}
	return []string{name}, nil
}

// has reports whether the store has a label of this name. It may say no of one that is
// not older than namesAge.
func (l *labelNames) has(ctx context.Context, tenant, name string) (bool, error) {
	known := l.known(tenant)
	if known == nil {
		var err error
		if known, err = l.read(ctx, tenant); err != nil {
			return false, err
		}
	}
	return slices.Contains(known.names[typemap.Label(name)], name), nil
}

func isService(public string) bool {
	return public == typemap.LabelService || public == selector.LabelServicePrivate
}

func (l *labelNames) known(tenant string) *storedNames {
	l.mu.Lock()
	defer l.mu.Unlock()
	if known := l.tenants[tenant]; known != nil && time.Since(known.read) < namesAge {
		return known
	}
	return nil
}

func (l *labelNames) read(ctx context.Context, tenant string) (*storedNames, error) {
	out := &storedNames{read: time.Now(), names: make(map[string][]string)}
	list, err := l.store.LabelNames(ctx, profilestore.Selector{Tenant: tenant}, maxLabelNames+1)
	if err != nil {
		return nil, err
	}
	if err := checkListed("names of labels", len(list), maxLabelNames); err != nil {
		return nil, err
	}
	for _, name := range list {
		public := typemap.Label(name)
		out.names[public] = append(out.names[public], name)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.tenants) >= maxNamedTenants {
		clear(l.tenants)
	}
	if l.tenants == nil {
		l.tenants = make(map[string]*storedNames)
	}
	l.tenants[tenant] = out
	return out, nil
}

// publicNames returns the names that clients know, sorted, each once. The service is
// one of them, whatever labels have it.
func publicNames(stored []string) []string {
	all := map[string]struct{}{typemap.LabelService: {}, selector.LabelServicePrivate: {}}
	for _, name := range stored {
		all[valid(typemap.Label(name))] = struct{}{}
	}
	return slices.Sorted(maps.Keys(all))
}
