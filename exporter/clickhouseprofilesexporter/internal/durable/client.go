package durable

import (
	"context"
	"fmt"
	"sync"

	"go.opentelemetry.io/collector/extension/xextension/storage"
)

// metadataKey is where the queue of exporterhelper v0.162.0 keeps its indices.
const metadataKey = "qmv0"

// client is the storage client of one queue. Writes that only record progress
// and failed are owed: they are made together with the next write that works,
// in the same transaction, and reads see them at once.
type client struct {
	inner   storage.Client
	onError func(error) // told about every failed write

	mu       sync.Mutex
	starting bool
	owed     map[string]*storage.Operation // by key: the last Set or Delete
}

func newClient(inner storage.Client, onError func(error)) *client {
	return &client{inner: inner, onError: onError, starting: true, owed: make(map[string]*storage.Operation)}
}

// Get implements [storage.Client].
func (c *client) Get(ctx context.Context, key string) ([]byte, error) {
	op := storage.GetOperation(key)
	err := c.Batch(ctx, op)
	return op.Value, err
}

// Set implements [storage.Client].
func (c *client) Set(ctx context.Context, key string, value []byte) error {
	return c.Batch(ctx, storage.SetOperation(key, value))
}

// Delete implements [storage.Client].
func (c *client) Delete(ctx context.Context, key string) error {
	return c.Batch(ctx, storage.DeleteOperation(key))
}

// Batch implements [storage.Client]. It fails only when new data could not be
// stored, or data could not be read.
func (c *client) Batch(ctx context.Context, ops ...*storage.Operation) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.starting {
		c.owe(ops)
		return c.read(ctx, ops)
	}
	err := c.inner.Batch(ctx, c.withOwed(ops)...)
	if err == nil {
		clear(c.owed)
		return nil
	}
	if !writes(ops) {
		// Only reads: what is owed may be what failed.
		return c.read(ctx, ops)
	}
	c.onError(err)
	if storesData(ops) {
		return err
	}
	c.owe(ops)
	return c.read(ctx, ops)
}

// started ends the start: what the queue did until now is written in one
// transaction. Should that fail it stays owed, and the storage as it was.
func (c *client) started(ctx context.Context) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.starting = false
	c.settle(ctx)
}

// Close implements [storage.Client].
func (c *client) Close(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.settle(ctx)
	return c.inner.Close(ctx)
}

func (c *client) settle(ctx context.Context) {
	if len(c.owed) == 0 {
		return
	}
	if err := c.inner.Batch(ctx, c.withOwed(nil)...); err != nil {
		c.onError(err)
		return
	}
	clear(c.owed)
}

// withOwed returns what is owed and then ops, so that ops prevail.
func (c *client) withOwed(ops []*storage.Operation) []*storage.Operation {
	if len(c.owed) == 0 {
		return ops
	}
	all := make([]*storage.Operation, 0, len(c.owed)+len(ops))
	for _, op := range c.owed {
		all = append(all, op)
	}
	return append(all, ops...)
}

func (c *client) owe(ops []*storage.Operation) {
	for _, op := range ops {
		if op.Type != storage.Get {
			c.owed[op.Key] = op
		}
	}
}

// read serves the reads among ops, from what is owed before the storage.
func (c *client) read(ctx context.Context, ops []*storage.Operation) error {
	var gets []*storage.Operation
	for _, op := range ops {
		if op.Type != storage.Get {
			continue
		}
		if o, ok := c.owed[op.Key]; ok {
			op.Value = o.Value // nil for what was deleted
			continue
		}
		gets = append(gets, op)
	}
	if len(gets) == 0 {
		return nil
	}
	if err := c.inner.Batch(ctx, gets...); err != nil {
		return fmt.Errorf("read queue: %w", err)
	}
	return nil
}

func writes(ops []*storage.Operation) bool {
	for _, op := range ops {
		if op.Type != storage.Get {
			return true
		}
	}
	return false
}

// storesData tells whether ops put an item into the queue.
func storesData(ops []*storage.Operation) bool {
	for _, op := range ops {
		if op.Type == storage.Set && op.Key != metadataKey {
			return true
		}
	}
	return false
}
