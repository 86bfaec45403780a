package tracker

import (
	"errors"

	"golang.org/x/sys/unix"
)

// Tick is called once every interval in which the stacks of the kernel are
// collected, after they were. What stacks may refer to is kept for a number of
// ticks.
func (t *Tracker) Tick() {
	t.work.Lock()
	defer t.work.Unlock()
	for _, p := range t.sweep() {
		if err := t.publish(p); errors.Is(err, unix.E2BIG) || errors.Is(err, unix.ENOSPC) {
			break // the map is full: others will fare no better until one ends
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.tick++
	for _, p := range t.procs {
		if p.ended && p.endedAt+keepEnded <= t.tick {
			t.forget(p)
		}
	}
	t.freeTables()
	t.retire()
}

// sweep finds processes that have ended without notice, and those that did not
// after all: of which only the main thread did. It returns those that the
// kernel did not take yet. work is held.
func (t *Tracker) sweep() (unpublished []*Process) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for pid, p := range t.latest {
		switch {
		case p.ended:
			if threads(pid) > 1 {
				p.ended = false
			} else {
				delete(t.latest, pid)
			}
		case unix.Kill(int(pid), 0) == unix.ESRCH:
			p.ended, p.endedAt = true, t.tick
			delete(t.latest, pid)
		case p.space.Load() != nil && t.published[pid] != p:
			unpublished = append(unpublished, p)
		}
	}
	return unpublished
}
