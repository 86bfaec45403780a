package writer

import (
	"context"
	"fmt"
	"time"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/layout"
	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// Bounds returns the extremes of an entry's observations, or layout.NoMinimum and
// layout.NoMaximum where they are not known. (0, 0) means unknown, but for our own
// kinds of durations a sum of 0 says that all were 0.
func Bounds(g *profile.Group, e *profile.Entry) (lo, hi int64) {
	if e.Min != 0 || e.Max != 0 {
		return e.Min, e.Max
	}
	if e.Count > 0 && e.Values[0] == 0 && len(profile.Types(g.Kind)) == 2 {
		return 0, 0
	}
	return layout.NoMinimum, layout.NoMaximum
}

// StoredUntil returns the column stored of what is written at a time, both in Unix
// seconds. Rows live from the end of the hour they were stored in: a coarse time
// is nearly free in the table.
func StoredUntil(now int64) int64 { return (now/3600 + 1) * 3600 }

// References collects what the rows of a window refer to and the tables may not
// have. It can be used for one window after the other, but not concurrently.
type References struct {
	w     *Writer
	dict  *dictionaries
	now   int64
	epoch uint64
}

// NewReferences returns references that w writes.
func (w *Writer) NewReferences() *References {
	return &References{w: w, dict: newDictionaries(w.known)}
}

// Collect forgets what was collected before and calls f, which adds what its rows
// refer to. f holds the lock of the cache and should do little else.
func (r *References) Collect(f func()) {
	r.now, r.epoch = time.Now().Unix(), r.w.epoch.Load()
	r.dict.reset(r.now)
	r.w.known.mu.Lock()
	defer r.w.known.mu.Unlock()
	f()
}

// Series adds a series.
func (r *References) Series(s *profile.Series) { r.dict.addSeries(s) }

// Stack adds a stack of a series by its index, with its frames and functions.
func (r *References) Stack(s *profile.Series, d *profile.Dictionary, stack int32) {
	r.dict.addStack(s, d, stack)
}

// Set adds the attributes of a sample.
func (r *References) Set(tenant string, a *profile.SampleAttributes) { r.dict.addSet(tenant, a) }

// Write stores what was collected. Rows that refer to it may be written when it
// returns nil.
func (r *References) Write(ctx context.Context) error {
	return r.w.writeDictionaries(ctx, r.dict, r.epoch, r.now)
}

// WriteBatches stores the batches of a window, once, with the accounts of its rows.
func (w *Writer) WriteBatches(ctx context.Context, win *profilestore.Window, accounts *Accounts) error {
	if len(win.Groups.Batches) == 0 {
		return nil
	}
	rows := newBatchRows()
	rows.fill(win.Groups.Batches, StoredUntil(time.Now().Unix()), win.Token, accounts)
	return w.Insert(ctx, "batches", rows.input, win.Token.String()+"-batches")
}

// writeDictionaries stores what is in d. epoch is that from before d was filled.
func (w *Writer) writeDictionaries(ctx context.Context, d *dictionaries, epoch uint64, now int64) error {
	for _, t := range d.tables() {
		if err := w.Insert(ctx, t.name, t.input, ""); err != nil {
			return err
		}
	}
	if w.epoch.Load() != epoch {
		return fmt.Errorf("write to %s: %w: connection was renewed", w.tables.Database, profilestore.ErrUnavailable)
	}
	for _, t := range d.tables() {
		w.known.add(t.keys, now)
	}
	return nil
}
