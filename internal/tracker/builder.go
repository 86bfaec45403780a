package tracker

import (
	"errors"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/aperture-collector/aperture-collector/bpf"
	"github.com/aperture-collector/aperture-collector/internal/symbol"
	"github.com/aperture-collector/aperture-collector/internal/unwind"
)

const (
	// maxAttempts is how often a table may wait for memory to be freed before it
	// is refused, retryRefused after how many ticks that is forgotten.
	maxAttempts  = 3
	retryRefused = 30
	// unusedFor is for how many ticks a table must not have been used to make
	// room for another one, so that two that are in use do not take turns.
	unusedFor = 2
)

// Kinds of errors of Stats.BuildErrors.
const (
	ErrorNoInfo   = "no_info"   // nothing to build a table from
	ErrorNoData   = "no_data"   // the file could not be read
	ErrorPoolFull = "pool_full" // no memory; it may be tried again
	ErrorTooLarge = "too_large" // it does not fit even alone
	ErrorBroken   = "broken"    // the file contradicts itself or changed
)

// builds are the executables whose tables are to be built. It is guarded by
// Tracker.mu.
type builds struct {
	wanted []request // samples ask for these
	early  []request // samples of new processes are going to
	freed  []freed
	wake   chan struct{}
}

// request is one for a table of a file with so many bytes.
type request struct {
	id   uint16
	size int
}

// freed is a table that programs of the kernel may still read.
type freed struct {
	table *unwind.Table
	tick  uint64
}

// wantTable has a table built that a sample asked for.
func (t *Tracker) wantTable(id uint16) {
	t.mu.Lock()
	defer t.mu.Unlock()
	x := t.executables.get(id)
	if x == nil || x.retired {
		return
	}
	x.use(t.tick)
	switch x.state {
	case tableNone, tableQueued: // it may be queued behind others
		x.state = tableQueued
		t.building.wanted = append(t.building.wanted, x.request(id))
		t.building.signal()
	case tableReady, tableAbsent, tableRefused:
		// What the kernel was told last came after it asked.
		t.setExecutable(id, x.forKernel())
	}
}

// buildTables has the tables of a new process built before samples ask.
func (t *Tracker) buildTables(p *Process) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !p.target {
		return
	}
	for _, id := range p.uses {
		if x := t.executables.get(id); x.state == tableNone {
			x.state = tableQueued
			t.building.early = append(t.building.early, x.request(id))
			t.building.signal()
		}
	}
}

func (b *builds) signal() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

func (x *executable) request(id uint16) request {
	r := request{id: id}
	_ = x.file.Data(func(data []byte) error { // none is an error of the build
		r.size = len(data)
		return nil
	})
	return r
}

// next returns the number and the file of a table to build, 0 if there is none.
// The smallest comes first: a table of five million rows must not keep the C
// library waiting.
func (t *Tracker) next() (uint16, *symbol.File) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, q := range []*[]request{&t.building.wanted, &t.building.early} {
		for len(*q) > 0 {
			first := 0
			for i, r := range *q {
				if r.size < (*q)[first].size {
					first = i
				}
			}
			id := (*q)[first].id
			*q = slices.Delete(*q, first, first+1)
			if x := t.executables.get(id); x != nil && x.state == tableQueued {
				x.file.Retain() // the number may be given up meanwhile
				return id, x.file
			}
		}
	}
	return 0, nil
}

// build builds tables until the tracker is closed, one at a time.
func (t *Tracker) build() {
	defer t.wg.Done()
	for {
		select {
		case <-t.closing:
			return
		case <-t.building.wake:
		}
		for !t.closed() {
			id, file := t.next()
			if id == 0 {
				break
			}
			var table *unwind.Table
			err := file.Data(func(data []byte) (err error) {
				table, err = t.opts.Pool.Build(data)
				return err
			})
			t.built(id, file, table, err)
			file.Release()
		}
	}
}

// built publishes a table, or that there is none.
func (t *Tracker) built(id uint16, file *symbol.File, table *unwind.Table, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	x := t.executables.get(id)
	if x == nil || x.file != file || x.state != tableQueued {
		if err == nil {
			t.opts.Pool.Free(table) // the kernel never saw it
		}
		return
	}
	x.tried = t.tick
	if err == nil {
		t.stats.Builds++
		x.state, x.table, x.attempts = tableReady, table, 0
		x.use(t.tick)
		t.setExecutable(id, x.forKernel())
		return
	}
	kind := errorKind(err)
	x.state = tableAbsent
	if kind == ErrorPoolFull {
		x.attempts++
		x.state = tableRefused
		if x.attempts <= maxAttempts && (t.makeRoom(x.attempts) || len(t.building.freed) > 0) {
			x.state = tableWaiting
			return // no error yet
		}
	}
	if kind != ErrorPoolFull && kind != ErrorTooLarge {
		t.stats.BuildErrors[kind]++
	} else if !x.refused { // it may be refused many times
		x.refused = true
		t.stats.BuildErrors[kind]++
		t.stats.TablesRefused++
	}
	t.setExecutable(id, x.forKernel())
}

func errorKind(err error) string {
	switch {
	case errors.Is(err, unwind.ErrPoolFull), errors.Is(err, unix.ENOMEM):
		return ErrorPoolFull
	case errors.Is(err, unwind.ErrTooLarge):
		return ErrorTooLarge
	case errors.Is(err, unwind.ErrNoInfo):
		return ErrorNoInfo
	case errors.Is(err, symbol.ErrNoData):
		return ErrorNoData
	}
	return ErrorBroken
}

// forKernel is what the kernel is told of an executable.
func (x *executable) forKernel() bpf.Executable {
	switch x.state {
	case tableReady:
		return bpf.Executable{
			PageBase: x.table.PageBase, PageCount: x.table.PageCount, FirstPage: x.table.FirstPage, State: bpf.ExecTable,
		}
	case tableAbsent, tableRefused:
		return bpf.Executable{State: bpf.ExecFramePointers}
	}
	return bpf.Executable{}
}
