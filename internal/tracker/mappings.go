package tracker

import (
	"slices"
	"time"

	"github.com/aperture-collector/aperture-collector/bpf"
	"github.com/aperture-collector/aperture-collector/internal/symbol"
)

// addressBits is what a frame of the kernel has for an address.
const addressBits = 48

// publish tells the kernel what a process has mapped. If the kernel does not
// take it that is counted, Tick tries again, and the error is returned. work is
// held.
func (t *Tracker) publish(p *Process) error {
	var ms []symbol.Mapping
	switch space := p.space.Load(); {
	case space != nil:
		ms = space.Mappings()
	case t.opts.Targets == nil:
		return nil // the kernel need not know that there is nothing to know
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if p.ended {
		return nil
	}
	mappings, uses := t.translate(ms)
	t.executables.use(uses)
	t.executables.drop(p.uses, t.tick)
	p.mappings, p.uses = mappings, uses
	if err := t.opts.Kernel.SetProcess(p.PID, p.Image, p.target, mappings); err != nil {
		t.stats.KernelErrors++
		return err
	}
	t.published[p.PID] = p
	return nil
}

// translate gives files their numbers, and keeps within what the kernel takes.
// mu is held.
func (t *Tracker) translate(ms []symbol.Mapping) (mappings []bpf.Mapping, uses []uint16) {
	mappings = make([]bpf.Mapping, 0, len(ms))
	files := 0
	for _, m := range ms {
		if m.End > 1<<addressBits { // [vsyscall]
			continue
		}
		b := bpf.Mapping{Start: m.Start, End: m.End}
		if !m.Anonymous {
			if files == bpf.MaxMappings { // nor may one process have all numbers
				t.stats.MappingsDropped++
				continue
			}
			files++
			if b.Executable = t.number(m.File); b.Executable != 0 {
				b.Bias = m.Bias
			}
		}
		mappings = append(mappings, b)
	}
	mappings = join(mappings, false)
	if len(mappings) > bpf.MaxMappings {
		// Memory without a file may be taken for more than it is: frame pointers
		// are followed in it, and its addresses stay what they are.
		mappings = join(mappings, true)
	}
	if n := len(mappings) - bpf.MaxMappings; n > 0 {
		t.stats.MappingsDropped += int64(n)
		mappings = mappings[:bpf.MaxMappings]
	}
	for _, m := range mappings {
		if m.Executable != 0 {
			uses = append(uses, m.Executable)
		}
	}
	slices.Sort(uses)
	return mappings, slices.Compact(uses)
}

// join makes one of neighbours that are the same, with gaps also of those
// without a file that are not next to each other.
func join(ms []bpf.Mapping, gaps bool) []bpf.Mapping {
	out := ms[:0]
	for _, m := range ms {
		if n := len(out); n > 0 {
			last := &out[n-1]
			if last.Executable == m.Executable && last.Bias == m.Bias &&
				(last.End == m.Start || gaps && m.Executable == 0) {
				last.End = m.End
				continue
			}
		}
		out = append(out, m)
	}
	return out
}

// number returns the number of an executable, 0 if all are taken. mu is held.
func (t *Tracker) number(f *symbol.File) uint16 {
	id, isNew := t.executables.number(f, t.tick)
	if id == 0 {
		t.stats.ExecutablesRefused++
	}
	if isNew {
		t.setExecutable(id, bpf.Executable{})
	}
	return id
}

func (t *Tracker) setExecutable(id uint16, x bpf.Executable) {
	if err := t.opts.Kernel.SetExecutable(id, x); err != nil {
		t.stats.KernelErrors++
	}
}

// rescan looks for a mapping at an address that the kernel did not know, if it
// is not known meanwhile. work is held.
func (t *Tracker) rescan(p *Process, addr uint64) {
	space := p.space.Load()
	t.mu.RLock()
	skip := p.ended || space == nil || (contains(p.mappings, addr) && t.published[p.PID] == p)
	t.mu.RUnlock()
	if skip {
		return
	}
	if !p.rescans.allow(time.Now()) {
		t.count(func(s *Stats) { s.RescansDeferred++ }) // the kernel will ask again
		return
	}
	t.count(func(s *Stats) { s.Rescans++ })
	if space.Rescan(addr) {
		_ = t.publish(p)
	}
}

func contains(ms []bpf.Mapping, addr uint64) bool {
	i, found := slices.BinarySearchFunc(ms, addr, func(m bpf.Mapping, addr uint64) int {
		switch {
		case m.End <= addr:
			return -1
		case m.Start > addr:
			return 1
		}
		return 0
	})
	return found && i < len(ms)
}
