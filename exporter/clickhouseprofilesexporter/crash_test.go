package clickhouseprofilesexporter

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension/xextension/storage"

	"github.com/aperture-collector/aperture-collector/internal/profile"
)

// disk is a transactional storage that remembers its content after every
// transaction, as a process that is killed there leaves it behind.
type disk struct {
	component.StartFunc
	component.ShutdownFunc

	mu      sync.Mutex
	content map[string][]byte
	full    bool
	moment  func() // called after every transaction, with mu held
}

var errFull = errors.New("no space left")

func (d *disk) GetClient(context.Context, component.Kind, component.ID, string) (storage.Client, error) {
	return d, nil
}

func (d *disk) Close(context.Context) error { return nil }

func (d *disk) Get(ctx context.Context, key string) ([]byte, error) {
	op := storage.GetOperation(key)
	err := d.Batch(ctx, op)
	return op.Value, err
}

func (d *disk) Set(ctx context.Context, key string, value []byte) error {
	return d.Batch(ctx, storage.SetOperation(key, value))
}

func (d *disk) Delete(ctx context.Context, key string) error {
	return d.Batch(ctx, storage.DeleteOperation(key))
}

func (d *disk) Batch(_ context.Context, ops ...*storage.Operation) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	next, changed := maps.Clone(d.content), false
	if next == nil {
		next = map[string][]byte{}
	}
	for _, op := range ops {
		switch op.Type {
		case storage.Get:
			op.Value = next[op.Key]
		case storage.Set:
			next[op.Key] = op.Value
			changed = true
		case storage.Delete:
			delete(next, op.Key)
			changed = true
		}
	}
	if changed {
		if d.full {
			return errFull
		}
		d.content = next
		if d.moment != nil {
			d.moment()
		}
	}
	return nil
}

func (d *disk) setFull(full bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.full = full
}

// moment is what a crash leaves behind.
type moment struct {
	content  map[string][]byte
	accepted int // windows acknowledged before
	tokens   map[profile.ID]uint64
}

// TestCrashAtAnyTransaction lets exporters run, stop, start and fill the disk,
// and then starts one more from what every single transaction left behind: all
// that had been accepted by then must be stored.
func TestCrashAtAnyTransaction(t *testing.T) {
	store := &memoryStore{err: errAway}
	d := &disk{}
	var mu sync.Mutex
	var moments []moment
	accepted := 0
	d.moment = func() {
		mu.Lock()
		defer mu.Unlock()
		store.mu.Lock()
		defer store.mu.Unlock()
		moments = append(moments, moment{maps.Clone(d.content), accepted, maps.Clone(store.tokens)})
	}
	change := func(c *Config) { persistent(c); c.QueueConfig.Get().NumConsumers = 3 }
	host := testHost{storeID: store, storageID: d}
	for round := range 6 {
		full := round%2 == 1
		d.setFull(full)
		e := start(t, host, change)
		for i := range 4 {
			d.setFull(full && i < 2)
			err := e.ConsumeProfiles(t.Context(), window(fmt.Sprint("w", round, i), "api", 1))
			if full && i < 2 {
				require.ErrorIs(t, err, errFull)
				continue
			}
			require.NoError(t, err)
			mu.Lock()
			accepted++
			mu.Unlock()
		}
		d.setFull(full)
		if round == 2 || round == 3 {
			store.refuse(nil)
			eventually(t, func() bool { return store.events() == uint64(accepted) })
			store.refuse(errAway)
		} else {
			before := store.attempts()
			eventually(t, func() bool { return store.attempts() > before })
		}
		require.NoError(t, e.Shutdown(t.Context()))
	}
	d.moment = nil
	require.Greater(t, len(moments), 20)
	require.Equal(t, 18, accepted)
	for i, m := range slices.Backward(moments) {
		after := &memoryStore{tokens: maps.Clone(m.tokens)}
		e := start(t, testHost{storeID: after, storageID: &disk{content: maps.Clone(m.content)}}, change)
		require.Eventuallyf(t, func() bool { return after.events() >= uint64(m.accepted) }, 10e9, 1e5, "transaction %d of %d", i, len(moments))
		require.NoError(t, e.Shutdown(t.Context()))
		require.LessOrEqual(t, after.events(), uint64(accepted))
	}
}
