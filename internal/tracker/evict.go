package tracker

import (
	"cmp"
	"slices"

	"github.com/aperture-collector/aperture-collector/bpf"
)

// makeRoom has tables freed for one that did not fit: all of executables that
// no process has mapped, else of those that were not used for longest, the more
// the more often it was tried. It reports whether there were any. The memory is
// free a tick later. mu is held.
func (t *Tracker) makeRoom(attempt int) bool {
	var old []uint16
	rows, idle := 0, false
	for id, x := range t.executables.byID {
		if x == nil || x.state != tableReady {
			continue
		}
		rows += x.table.Rows
		if x.refs == 0 {
			t.evict(uint16(id))
			idle = true
		} else if x.used.Load()+unusedFor <= t.tick {
			old = append(old, uint16(id))
		}
	}
	if idle {
		return true
	}
	slices.SortFunc(old, func(a, b uint16) int {
		return cmp.Compare(t.executables.byID[a].used.Load(), t.executables.byID[b].used.Load())
	})
	// An eighth of what there is, a quarter, a half.
	goal := max(1, rows>>max(0, maxAttempts+1-attempt))
	for _, id := range old {
		if goal <= 0 {
			break
		}
		goal -= t.executables.byID[id].table.Rows
		t.evict(id)
	}
	return len(old) > 0
}

// evict takes the table of an executable away. The next sample of it asks for
// it again. mu is held.
func (t *Tracker) evict(id uint16) {
	x := t.executables.byID[id]
	if x.table == nil {
		return
	}
	t.building.freed = append(t.building.freed, freed{x.table, t.tick})
	x.table, x.state = nil, tableNone
	t.stats.Evicted++
	t.setExecutable(id, bpf.Executable{})
}

// freeTables frees the tables that no program can hold any more: all since the
// tick before the last one. Tables that waited for memory are tried again. mu
// is held.
func (t *Tracker) freeTables() {
	b := &t.building
	n := 0
	for n < len(b.freed) && b.freed[n].tick+1 < t.tick {
		t.opts.Pool.Free(b.freed[n].table)
		n++
	}
	if n == 0 {
		return
	}
	b.freed = slices.Delete(b.freed, 0, n)
	for id, x := range t.executables.byID {
		if x != nil && x.state == tableWaiting {
			x.state = tableQueued
			b.wanted = append(b.wanted, x.request(uint16(id)))
		}
	}
	b.signal()
}

// retire gives up executables that no process has mapped for long, and their
// numbers when they have rested. mu is held.
func (t *Tracker) retire() {
	e := &t.executables
	for id, x := range e.byID {
		switch {
		case x == nil:
		case x.retired:
			if x.retiredAt+quarantine <= t.tick {
				e.release(uint16(id))
			}
		case x.refs == 0 && x.used.Load()+keepIdle <= t.tick:
			t.evict(uint16(id))
			x.state, x.retired, x.retiredAt = tableNone, true, t.tick
			t.setExecutable(uint16(id), bpf.Executable{})
		case x.state == tableRefused && x.tried+retryRefused <= t.tick:
			x.state, x.attempts = tableNone, 0
			t.setExecutable(uint16(id), bpf.Executable{})
		}
	}
}

// askAgain has the kernel ask again for tables that nobody is building.
func (t *Tracker) askAgain() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.stats.Resyncs++
	for id, x := range t.executables.byID {
		if x != nil && x.state == tableNone {
			t.setExecutable(uint16(id), bpf.Executable{})
		}
	}
}
