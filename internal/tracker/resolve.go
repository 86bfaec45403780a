package tracker

import (
	"time"

	"github.com/aperture-collector/aperture-collector/bpf"
	"github.com/aperture-collector/aperture-collector/internal/symbol"
)

// Process returns what a pid ran when a stack was taken; never nil. One that is
// not known, as its notice is late or was lost, becomes known now. Kernel
// threads are processes, too.
func (t *Tracker) Process(pid uint32, image uint64) *Process {
	k := key{pid, image}
	if p := t.find(k); p != nil {
		return p
	}
	t.work.Lock()
	defer t.work.Unlock()
	if p := t.find(k); p != nil {
		return p
	}
	return t.create(k, time.Time{})
}

// Resolve finds the file and the address in it of a user frame of a stack. It
// is called when the stack arrives: the numbers of executables in it change
// their meaning some ticks later. The address is one of the call for frames that
// were called from. An address that is in no file stays what it is.
func (t *Tracker) Resolve(pid uint32, image uint64, frame bpf.Frame) symbol.Frame {
	addr := frame.Addr()
	if !frame.Exact() && addr > 0 {
		// A return address may belong to the next function or line already.
		addr--
	}
	if id := frame.Executable(); id != 0 {
		if f := t.file(id); f != nil {
			return symbol.Frame{File: f, Addr: addr}
		}
		t.noExecutable.Add(1)
		return symbol.Frame{Addr: addr}
	}
	space := t.space(pid, image)
	if space == nil {
		t.noProcess.Add(1)
		return symbol.Frame{Addr: addr}
	}
	f := space.Resolve(addr)
	if f.File == nil {
		t.noMapping.Add(1)
	}
	return f
}

// space returns the mappings of a process, nil if there is no way to see them.
func (t *Tracker) space(pid uint32, image uint64) *symbol.Space {
	p := t.Process(pid, image)
	if space := p.space.Load(); space != nil {
		return space
	}
	t.work.Lock()
	defer t.work.Unlock()
	t.look(p)
	return p.space.Load()
}

// file returns the file of an executable and notes its use.
func (t *Tracker) file(id uint16) *symbol.File {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if x := t.executables.get(id); x != nil {
		x.use(t.tick)
		return x.file
	}
	return nil
}

// Touch says that an executable occurs in the samples of the current interval,
// so that its table is not the first to go when memory is short. Resolve
// implies it, but a stack is resolved once and may be sampled for hours.
func (t *Tracker) Touch(id uint16) { t.file(id) }
