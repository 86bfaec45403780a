// Package durable closes the gaps through which the persistent queue of
// exporterhelper can lose what it has accepted:
//
//   - at a start it deletes the items that were being sent when the process
//     ended, before it puts them back: a process that dies in between, or a full
//     disk, loses them;
//   - when the record of its progress cannot be written because the disk is
//     full, it passes over the item it was about to send.
//
// A [Host] puts a layer between the queue and its storage. Everything the queue
// writes while it starts becomes one transaction. Afterwards a failed write is
// an error only where it stores a new item, whose sender is told to try again;
// a failed record of progress is made up for with the next write. Until then the
// storage is consistent and only behind, so that a crash makes the queue send
// again what it has sent, which the store recognises by its token.
package durable

import (
	"context"
	"sync"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension/xextension/storage"
)

// Host is a [component.Host] on which one storage extension is made safe for a
// persistent queue.
type Host struct {
	component.Host
	id      component.ID
	onError func(error)

	mu      sync.Mutex
	clients []*client
}

// NewHost returns host with the storage extension id made safe. onError is told
// about every write that failed; it must be safe for concurrent use.
func NewHost(host component.Host, id component.ID, onError func(error)) *Host {
	return &Host{Host: host, id: id, onError: onError}
}

// GetExtensions implements [component.Host].
func (h *Host) GetExtensions() map[component.ID]component.Component {
	all := h.Host.GetExtensions()
	ext, ok := all[h.id].(storage.Extension)
	if !ok {
		return all
	}
	out := make(map[component.ID]component.Component, len(all))
	for id, c := range all {
		out[id] = c
	}
	out[h.id] = extension{ext, h}
	return out
}

// Started must be called when the queue has been started.
func (h *Host) Started(ctx context.Context) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, c := range h.clients {
		c.started(ctx)
	}
}

type extension struct {
	storage.Extension
	host *Host
}

// GetClient implements [storage.Extension].
func (e extension) GetClient(ctx context.Context, kind component.Kind, id component.ID, name string) (storage.Client, error) {
	inner, err := e.Extension.GetClient(ctx, kind, id, name)
	if err != nil {
		return nil, err
	}
	c := newClient(inner, e.host.onError)
	e.host.mu.Lock()
	defer e.host.mu.Unlock()
	e.host.clients = append(e.host.clients, c)
	return c, nil
}
