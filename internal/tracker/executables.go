package tracker

import (
	"sync/atomic"

	"github.com/aperture-collector/aperture-collector/bpf"
	"github.com/aperture-collector/aperture-collector/internal/symbol"
	"github.com/aperture-collector/aperture-collector/internal/unwind"
)

const (
	// keepIdle is for how many ticks the table of an executable is kept that no
	// process has mapped: programs come back.
	keepIdle = 30
	// quarantine is for how many ticks the number of an executable that was given
	// up keeps its meaning: frames with it are on their way.
	quarantine = 3
)

// tableState is how far the unwind table of an executable is.
type tableState uint8

const (
	tableNone    tableState = iota // nobody asked for it
	tableQueued                    // the builder will come to it
	tableWaiting                   // for memory that is being freed
	tableReady
	tableAbsent  // it has none, for good
	tableRefused // no memory for it
)

// executable is a file that has a number.
type executable struct {
	file  *symbol.File
	refs  int // processes that have it mapped
	state tableState
	table *unwind.Table
	// used is the tick of its last use.
	used atomic.Uint64
	// tried is the tick of its last build, attempts counts the builds that found
	// no memory.
	tried    uint64
	attempts int
	// refused is true once its table was counted as refused.
	refused bool
	// retired is true in quarantine, since a tick.
	retired   bool
	retiredAt uint64
}

// executables gives numbers to files. It is guarded by Tracker.mu.
type executables struct {
	byID  []*executable // index 0 is nil
	ids   map[*symbol.File]uint16
	free  []uint16
	limit int // numbers, including 0
}

func newExecutables() executables {
	return executables{byID: make([]*executable, 1), ids: make(map[*symbol.File]uint16), limit: bpf.MaxExecutables}
}

func (x *executable) use(tick uint64) {
	if x.used.Load() != tick {
		x.used.Store(tick)
	}
}

// get returns the executable with a number, nil if there is none.
func (e *executables) get(id uint16) *executable {
	if int(id) >= len(e.byID) {
		return nil
	}
	return e.byID[id]
}

// number returns the number of a file, and whether it is a new one; 0 if there
// is none left.
func (e *executables) number(f *symbol.File, tick uint64) (id uint16, isNew bool) {
	if id, ok := e.ids[f]; ok {
		x := e.byID[id]
		x.retired = false
		x.use(tick)
		return id, false
	}
	x := &executable{file: f}
	x.use(tick)
	switch {
	case len(e.free) > 0:
		// First in, first out: a number rests for as long as possible.
		id, e.free = e.free[0], e.free[1:]
		e.byID[id] = x
	case len(e.byID) < e.limit:
		id = uint16(len(e.byID))
		e.byID = append(e.byID, x)
	default:
		return 0, false
	}
	f.Retain()
	e.ids[f] = id
	return id, true
}

// use adds a process to those that have the executables mapped.
func (e *executables) use(ids []uint16) {
	for _, id := range ids {
		e.byID[id].refs++
	}
}

// drop takes a process from those that have the executables mapped.
func (e *executables) drop(ids []uint16, tick uint64) {
	for _, id := range ids {
		x := e.byID[id]
		x.refs--
		x.use(tick)
	}
}

// release gives a number back that nothing can refer to any more.
func (e *executables) release(id uint16) {
	x := e.byID[id]
	delete(e.ids, x.file)
	x.file.Release()
	e.byID[id] = nil
	e.free = append(e.free, id)
}

func (e *executables) close() {
	for _, x := range e.byID {
		if x != nil {
			x.file.Release()
		}
	}
	e.byID, e.ids, e.free = make([]*executable, 1), make(map[*symbol.File]uint16), nil
}
