package chunkwriter

import (
	"context"
	"sync"
	"time"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chconn"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/chunkrow"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/chunktable"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/writer"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// Writer implements [profilestore.Writer] over a pool. It is safe for concurrent
// use.
type Writer struct {
	base    *writer.Writer
	buffers sync.Pool
}

var _ profilestore.Writer = (*Writer)(nil)

// New returns a writer.
func New(pool *chconn.Pool, o writer.Options) *Writer {
	w := &Writer{base: writer.New(pool, o)}
	w.buffers.New = func() any {
		return &buffer{references: w.base.NewReferences(), block: chunkrow.NewBlock(), rows: newRows(maxRowBytes)}
	}
	return w
}

// buffer holds what one Write needs.
type buffer struct {
	references *writer.References
	rows       *rows
	block      *chunkrow.Block
}

// Forget empties the cache of what is stored, see [writer.Writer.Forget].
func (w *Writer) Forget() { w.base.Forget() }

// KnownEntries returns the number of dictionary rows known to be stored.
func (w *Writer) KnownEntries() int { return w.base.KnownEntries() }

// Write implements [profilestore.Writer].
func (w *Writer) Write(ctx context.Context, win *profilestore.Window) error {
	if err := writer.Validate(win); err != nil {
		return err
	}
	b := w.buffers.Get().(*buffer)
	defer w.buffers.Put(b)
	b.block.Reset()
	b.rows.group(win.Groups)
	defer b.rows.release()
	b.references.Collect(func() { b.rows.references(b.references) })
	if err := b.references.Write(ctx); err != nil {
		return err
	}
	accounts := writer.NewAccounts(win.Groups.Batches)
	err := b.rows.build(win.Token, writer.StoredUntil(time.Now().Unix()), func(r *chunkrow.Row) {
		r.BatchEvents = accounts.Add(r.Tenant, r.Hour, r.Events)
		b.block.Append(r)
	})
	if err != nil {
		return err
	}
	if err := w.base.WriteBatches(ctx, win, accounts); err != nil {
		return err
	}
	return w.base.Insert(ctx, chunktable.Name, b.block.Input(), chunkrow.WindowToken(win.Token))
}
