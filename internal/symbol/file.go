package symbol

import (
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// Symbol is what is known of an address.
type Symbol struct {
	// Name is for people, System as the file spells it (empty if the same).
	Name, System string
	// File and StartLine say where the function is defined, Line the line of the
	// address. They are empty or 0 where the file does not tell them cheaply.
	File      string
	StartLine int64
	Line      int64
	// Go is true for functions of the Go table.
	Go bool
}

// File states.
const (
	stateNew      = iota // headers read, tables not built
	stateBuilding        // in the worker's queue
	stateReady
	stateFailed // has no symbols, for good
)

// File is an executable, a library, or memory that is not backed by a file. All
// processes that run the same build share one. It is safe for concurrent use.
type File struct {
	// Path is where the file was first seen, in that process's root directory,
	// or a name in brackets.
	Path    string
	BuildID BuildID

	cache    *Cache
	segments []segment
	stat     fileKey
	refs     int // guarded by cache.mu
	used     atomic.Int64
	bytes    atomic.Int64 // heap bytes of the tables and names

	// state is written with mu held. A File in stateBuilding is locked for long
	// and must be left alone.
	state atomic.Int32

	mu sync.Mutex
	// data is the mapped file, or a copy for the vdso; nil when it has neither.
	data   []byte
	mapped bool
	elf    *symtab
	golang *pclntab
	names  map[uint64]Symbol // by index in the table, Go's with the top bit
	built  time.Time
}

// Address converts an offset in the file to the address that it was linked for.
// For what is not an executable file it returns the offset.
func (f *File) Address(off uint64) uint64 {
	if a, ok := address(f.segments, off); ok {
		return a
	}
	return off
}

// Lookup names an address of the file. It returns false for addresses without
// a symbol and while the tables are not built; a File whose tables were dropped
// has them built again in the background.
func (f *File) Lookup(addr uint64) (sym Symbol, ok bool) {
	f.used.Store(time.Now().UnixNano())
	if s := f.state.Load(); s == stateBuilding || s == stateFailed {
		return sym, false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.state.Load() == stateNew && time.Since(f.built) >= rebuildAfter {
		f.cache.enqueue(f)
	}
	if f.state.Load() != stateReady {
		return sym, false
	}
	err := guard(func() error {
		sym, ok = f.lookup(addr)
		return nil
	})
	if err != nil {
		f.fail()
		f.cache.count(ErrorFault)
		return Symbol{}, false
	}
	return sym, ok
}

const goName = 1 << 63

func (f *File) lookup(addr uint64) (Symbol, bool) {
	if f.golang != nil {
		if i, ok := f.golang.find(addr); ok {
			g, ok := f.golang.function(i)
			if !ok {
				return Symbol{}, false
			}
			s, known := f.names[goName|i]
			if !known {
				s = Symbol{Name: text(g.name), File: text(g.file), StartLine: g.startLine, Go: true}
				f.remember(goName|i, s)
			}
			s.Line = f.golang.line(g, addr)
			return s, true
		}
	}
	if f.elf == nil {
		return Symbol{}, false
	}
	i, ok := f.elf.find(addr)
	if !ok {
		return Symbol{}, false
	}
	s, known := f.names[uint64(i)]
	if !known {
		s.System = text(f.elf.name(i))
		s.Name = demangled(s.System)
		if s.Name == s.System {
			s.System = ""
		}
		f.remember(uint64(i), s)
	}
	return s, s.Name != ""
}

// remember keeps a resolved name: demangling and copying happen once a symbol.
func (f *File) remember(key uint64, s Symbol) {
	if f.names == nil {
		f.names = make(map[uint64]Symbol)
	}
	f.names[key] = s
	f.addBytes(int64(len(s.Name)+len(s.System)+len(s.File)) + 128)
}

func (f *File) addBytes(n int64) {
	f.bytes.Add(n)
	f.cache.bytes.Add(n)
}

// text copies a name out of the file and makes it valid UTF-8, which the
// protocols that carry it demand.
func text(b []byte) string { return strings.ToValidUTF8(string(b), "?") }

// build reads the tables. It runs in the cache's worker.
func (f *File) build(limit int) (err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.state.Load() != stateBuilding {
		return nil
	}
	err = guard(func() error {
		e, err := parseELF(f.data)
		if err != nil {
			return err
		}
		// A broken Go table does not spoil the other one.
		goTable, goErr := e.goTables()
		var from, to uint64
		if goTable != nil {
			from, to = goTable.bounds()
		}
		elfTable, err := e.elfTables(from, to, limit)
		if err != nil {
			return err
		}
		if goTable == nil && len(elfTable.syms) == 0 {
			return errNoSymbols(goErr)
		}
		f.golang, f.elf = goTable, elfTable
		return nil
	})
	if err != nil {
		f.fail()
		return err
	}
	f.built = time.Now()
	f.state.Store(stateReady)
	f.addBytes(int64(len(f.elf.syms)) * symbolBytes)
	return nil
}

// fail gives the file up for good. f.mu is held.
func (f *File) fail() {
	f.drop()
	f.unmap()
	f.state.Store(stateFailed)
}

// drop frees the tables; they can be built again. f.mu is held.
func (f *File) drop() {
	f.addBytes(-f.bytes.Load())
	f.elf, f.golang, f.names = nil, nil, nil
	f.state.CompareAndSwap(stateReady, stateNew)
}

// unmap gives the file back to its file system. f.mu is held.
func (f *File) unmap() {
	if f.mapped {
		_ = unix.Munmap(f.data)
	}
	f.data, f.mapped = nil, false
}
