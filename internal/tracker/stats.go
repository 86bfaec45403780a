package tracker

import "maps"

// Stats are numbers for telemetry. Those that are not said to be current are
// sums since the start.
type Stats struct {
	// Processes and Executables are known currently; Tables of the executables
	// have Rows and occupy Bytes of memory that the kernel sees.
	Processes, Executables, Tables, Rows, Bytes int
	// Pending notices are not handled yet, Queued tables not built, currently.
	Pending, Queued int
	// Builds of tables that succeeded, BuildErrors those that did not, by kind. A
	// table that is refused for lack of memory counts once, however often it is
	// tried again.
	Builds      int64
	BuildErrors map[string]int64
	// Evicted tables made room for others, TablesRefused found none.
	Evicted, TablesRefused int64
	// Rescans are unknown addresses that were looked up, RescansDeferred those of
	// a process that had too many.
	Rescans, RescansDeferred int64
	// ExecsDeferred are programs that were not looked at when they began: their
	// first sample, if there is one, follows frame pointers.
	ExecsDeferred int64
	// NoticesDropped did not fit the queue; Resyncs made up for them.
	NoticesDropped, Resyncs int64
	// ProcessesRefused and ExecutablesRefused were over the limit of how many are
	// known, MappingsDropped over that of the kernel for a process.
	ProcessesRefused, ExecutablesRefused, MappingsDropped int64
	// KernelErrors counts what the kernel did not accept.
	KernelErrors int64
	// NoProcess counts frames of processes that were gone before anyone looked,
	// NoMapping those whose address is in no mapping, NoExecutable those whose
	// executable was given up.
	NoProcess, NoMapping, NoExecutable int64
}

// Stats returns what happened so far.
func (t *Tracker) Stats() Stats {
	pool := t.opts.Pool.Stats()
	t.notices.mu.Lock()
	dropped, pending := t.notices.dropped, len(t.notices.notices)+t.notices.taken
	t.notices.mu.Unlock()
	t.mu.RLock()
	defer t.mu.RUnlock()
	s := t.stats
	s.BuildErrors = maps.Clone(s.BuildErrors)
	s.Processes, s.Executables = len(t.procs), len(t.executables.ids)
	s.Queued = len(t.building.wanted) + len(t.building.early)
	s.Tables, s.Rows, s.Bytes = pool.Tables, pool.Rows, pool.Bytes
	s.NoticesDropped, s.Pending = dropped, pending
	s.NoProcess, s.NoMapping, s.NoExecutable = t.noProcess.Load(), t.noMapping.Load(), t.noExecutable.Load()
	return s
}

func (t *Tracker) count(add func(*Stats)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	add(&t.stats)
}
