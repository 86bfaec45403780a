package durable

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"github.com/open-telemetry/opentelemetry-collector-contrib/extension/storage/filestorage"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/extension/extensiontest"
	"go.opentelemetry.io/collector/extension/xextension/storage"
)

var errFull = errors.New("no space left")

// fullable is a real storage client whose writes can be made to fail.
type fullable struct {
	storage.Client
	full  bool
	calls int
}

func (f *fullable) Batch(ctx context.Context, ops ...*storage.Operation) error {
	f.calls++
	if f.full && writes(ops) {
		return errFull
	}
	return f.Client.Batch(ctx, ops...)
}

type host map[component.ID]component.Component

func (h host) GetExtensions() map[component.ID]component.Component { return h }

// open returns a client on a file, and what counts its failed writes.
func open(t *testing.T) (*client, *fullable, *atomic.Int64) {
	t.Helper()
	f := filestorage.NewFactory()
	cfg := f.CreateDefaultConfig().(*filestorage.Config)
	cfg.Directory = t.TempDir()
	ext, err := f.Create(t.Context(), extensiontest.NewNopSettings(f.Type()), cfg)
	require.NoError(t, err)
	require.NoError(t, ext.Start(t.Context(), componenttest.NewNopHost()))
	t.Cleanup(func() { require.NoError(t, ext.Shutdown(context.Background())) })
	inner, err := ext.(storage.Extension).GetClient(t.Context(), component.KindExporter, component.MustNewID("x"), "profiles")
	require.NoError(t, err)
	var failed atomic.Int64
	fu := &fullable{Client: inner}
	return newClient(fu, func(error) { failed.Add(1) }), fu, &failed
}

func get(t *testing.T, c storage.Client, key string) string {
	t.Helper()
	v, err := c.Get(t.Context(), key)
	require.NoError(t, err)
	return string(v)
}

// TestStartIsOneTransaction: what a queue moves while it starts is seen by it at
// once, and by the storage altogether at the end.
func TestStartIsOneTransaction(t *testing.T) {
	c, disk, failed := open(t)
	require.NoError(t, disk.Client.Set(t.Context(), "1", []byte("item")))
	require.NoError(t, c.Delete(t.Context(), "1"))
	assert.Empty(t, get(t, c, "1"))
	require.NoError(t, c.Batch(t.Context(), storage.SetOperation(metadataKey, []byte("m1")), storage.SetOperation("2", []byte("item"))))
	assert.Equal(t, "item", get(t, c, "2"))
	assert.Equal(t, "item", get(t, disk, "1"))
	assert.Empty(t, get(t, disk, "2"))
	disk.full = true
	c.started(t.Context())
	assert.EqualValues(t, 1, failed.Load())
	assert.Equal(t, "item", get(t, disk, "1"))
	assert.Equal(t, "item", get(t, c, "2"))
	disk.full = false
	require.NoError(t, c.Set(t.Context(), metadataKey, []byte("m2")))
	assert.Empty(t, get(t, disk, "1"))
	assert.Equal(t, "item", get(t, disk, "2"))
	assert.Equal(t, "m2", get(t, disk, metadataKey))
	require.NoError(t, c.Close(t.Context()))
}

// TestFullDisk: a new item is refused, a record of progress is made up for.
func TestFullDisk(t *testing.T) {
	c, disk, failed := open(t)
	c.started(t.Context())
	put := func(key, metadata string) error {
		return c.Batch(t.Context(), storage.SetOperation(metadataKey, []byte(metadata)), storage.SetOperation(key, []byte("item"+key)))
	}
	require.NoError(t, put("1", "m1"))
	require.NoError(t, put("2", "m2"))
	disk.full = true
	require.ErrorIs(t, put("3", "m3"), errFull)
	assert.Empty(t, get(t, c, "3"))
	read := storage.GetOperation("1")
	require.NoError(t, c.Batch(t.Context(), storage.SetOperation(metadataKey, []byte("m4")), read))
	assert.Equal(t, "item1", string(read.Value))
	require.NoError(t, c.Batch(t.Context(), storage.SetOperation(metadataKey, []byte("m5")), storage.DeleteOperation("1")))
	assert.Empty(t, get(t, c, "1"))
	assert.Equal(t, "m5", get(t, c, metadataKey))
	assert.Equal(t, "item1", get(t, disk, "1"))
	assert.Equal(t, "m2", get(t, disk, metadataKey))
	assert.EqualValues(t, 3, failed.Load())
	disk.full = false
	require.NoError(t, put("4", "m6"))
	assert.Empty(t, get(t, disk, "1"))
	assert.Equal(t, "m6", get(t, disk, metadataKey))
	disk.full = true
	require.NoError(t, c.Delete(t.Context(), "2"))
	disk.full = false
	assert.NotEmpty(t, c.owed)
	c.settle(t.Context())
	assert.Empty(t, c.owed)
	assert.Empty(t, get(t, disk, "2"))
	calls := disk.calls
	require.NoError(t, c.Close(t.Context()))
	assert.Equal(t, calls, disk.calls, "nothing was left to write")
	require.Error(t, c.Set(t.Context(), "5", nil))
	_, err := c.Get(t.Context(), "4")
	require.ErrorContains(t, err, "read queue")
}

func TestHostReplacesOneExtension(t *testing.T) {
	a, b := component.MustNewID("a"), component.MustNewID("b")
	f := filestorage.NewFactory()
	cfg := f.CreateDefaultConfig().(*filestorage.Config)
	cfg.Directory = t.TempDir()
	ext, err := f.Create(t.Context(), extensiontest.NewNopSettings(f.Type()), cfg)
	require.NoError(t, err)
	inner := host{a: ext, b: ext}
	h := NewHost(inner, a, func(error) {})
	all := h.GetExtensions()
	assert.Len(t, all, 2)
	assert.Same(t, ext, all[b])
	assert.NotEqual(t, component.Component(ext), all[a])
	c, err := all[a].(storage.Extension).GetClient(t.Context(), component.KindExporter, a, "")
	require.NoError(t, err)
	assert.True(t, c.(*client).starting)
	h.Started(t.Context())
	assert.False(t, c.(*client).starting)
	require.NoError(t, c.Close(t.Context()))
	cfg.Directory = "/proc/none"
	_, err = all[a].(storage.Extension).GetClient(t.Context(), component.KindExporter, b, "")
	require.Error(t, err)
	assert.Len(t, NewHost(host{b: nil}, a, nil).GetExtensions(), 1)
}
