package aggregate

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"
	"unsafe"

	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// Recent keeps windows in memory and answers queries from them. It is safe for
// concurrent use.
type Recent struct {
	keep     time.Duration
	maxBytes int64

	mu      sync.RWMutex
	windows []kept // oldest first
	bytes   int64
}

var _ profilestore.Reader = (*Recent)(nil)

// windowBytes is the size of an empty window.
const windowBytes = int64(unsafe.Sizeof(Window{}) + unsafe.Sizeof(kept{}))

type kept struct {
	*Window
	since time.Time
	bytes int64 // without the stacks, which windows share
}

// NewRecent returns a Recent that keeps windows for that long, as long as they
// need less than about maxBytes.
func NewRecent(keep time.Duration, maxBytes int64) *Recent {
	return &Recent{keep: keep, maxBytes: maxBytes}
}

// Add keeps w, which must not be added to any more, and lets go of windows that
// are too old or too many.
func (r *Recent) Add(w *Window) {
	k := kept{Window: w.compact(), since: time.Now(), bytes: windowBytes + w.bytes - w.stackBytes}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.windows = append(r.windows, k)
	r.bytes += k.bytes
	for _, s := range w.stacks {
		r.bytes += s.keep()
	}
	for len(r.windows) > 0 && (r.bytes > r.maxBytes || k.since.Sub(r.windows[0].since) > r.keep) {
		old := r.windows[0]
		r.windows[0] = kept{}
		r.windows = r.windows[1:]
		r.bytes -= old.bytes
		for _, s := range old.stacks {
			r.bytes -= s.release()
		}
	}
}

// Bytes is the estimated size of what is kept.
func (r *Recent) Bytes() int64 {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.bytes
}

// keep counts a use by [Recent] and returns the bytes that are new.
func (s *Stack) keep() (n int64) {
	if s.kept++; s.kept > 1 {
		return 0
	}
	for _, f := range s.frames {
		if f.kept++; f.kept == 1 {
			n += frameBytes + f.fn.bytes()
		}
	}
	return n + s.bytes()
}

// release undoes keep and returns the bytes that are no longer needed.
func (s *Stack) release() (n int64) {
	if s.kept--; s.kept > 0 {
		return 0
	}
	for _, f := range s.frames {
		if f.kept--; f.kept == 0 {
			n += frameBytes + f.fn.bytes()
		}
	}
	return n + s.bytes()
}

// compact returns what queries need of w.
func (w *Window) compact() *Window {
	return &Window{shapes: w.shapes, attrs: w.attrs, stacks: w.stacks, batches: w.batches, groups: w.groups}
}

// snapshot returns the windows kept now. They do not change.
func (r *Recent) snapshot() []kept {
	r.mu.RLock()
	defer r.mu.RUnlock()
	oldest := time.Now().Add(-r.keep)
	for i, w := range r.windows {
		if w.since.After(oldest) {
			return slices.Clone(r.windows[i:])
		}
	}
	return nil
}

// groupsOf calls f for every group that sel selects.
func (r *Recent) groupsOf(ctx context.Context, sel profilestore.Selector, f func(w *Window, g *group) error) error {
	m, err := newMatcher(sel)
	if err != nil {
		return err
	}
	for _, w := range r.snapshot() {
		if ctx.Err() != nil {
			return fmt.Errorf("query recent profiles: %w", context.Cause(ctx))
		}
		for _, g := range w.groups {
			if m.matches(g, w.shapes[g.shape].kind) {
				if err := f(w.Window, g); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// CountEvents implements [profilestore.Reader].
func (r *Recent) CountEvents(ctx context.Context, sel profilestore.Selector) (uint64, error) {
	var n uint64
	err := r.groupsOf(ctx, sel, func(_ *Window, g *group) error {
		for i := range g.entries {
			n = profile.AddCount(n, g.entries[i].count)
		}
		return nil
	})
	return n, err
}

// Batches implements [profilestore.Reader].
func (r *Recent) Batches(ctx context.Context, sel profilestore.Selector, limit int) ([]profile.Batch, error) {
	if err := checkSelector(sel); err != nil {
		return nil, err
	}
	var out []profile.Batch
	for _, w := range r.snapshot() {
		if ctx.Err() != nil {
			return nil, fmt.Errorf("query recent batches: %w", context.Cause(ctx))
		}
		for _, b := range w.batches {
			if b.Tenant == sel.Tenant && (sel.AgentID == nil || b.AgentID == *sel.AgentID) && inRange(sel, b.ReceivedAt) {
				out = append(out, b)
			}
		}
	}
	slices.SortStableFunc(out, func(a, b profile.Batch) int {
		switch {
		case a.ReceivedAt > b.ReceivedAt:
			return -1
		case a.ReceivedAt < b.ReceivedAt:
			return 1
		}
		return 0
	})
	return out[:min(max(limit, 0), len(out))], nil
}
