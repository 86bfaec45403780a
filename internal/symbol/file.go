package symbol

import (
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// unloadAfter is how many lookups may leave pages of a file in memory. Each may
// read four places of it, and the kernel maps 64 KiB around each.
const unloadAfter = 256

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
	size     int64
	uid      uint32    // owner
	stats    []fileKey // keys in cache.byStat; guarded by cache.mu
	refs     int       // guarded by cache.mu
	used     atomic.Int64
	bytes    atomic.Int64 // heap bytes of the tables and names

	// state is written with mu held. A File in stateBuilding is locked for long
	// and must be left alone.
	state atomic.Int32

	mu     sync.Mutex
	elf    *symtab
	golang *pclntab
	names  map[uint64]Symbol // of elf, by index
	texts  map[uint64]string // of golang, by offset, goSource added for files
	built  time.Time
	// lookups is the number of those that read data since it was unloaded.
	lookups int
	jit     *jitCode // of anonymous memory; it has none of the others

	// dataMu keeps the file mapped while it is read without mu. It is locked
	// after mu.
	dataMu sync.RWMutex
	// data is the mapped file, or a copy for the vdso; nil when it has neither.
	data   []byte
	mapped bool
	// touched is true when pages of data may be in memory on our account.
	touched atomic.Bool
}

// executable reports whether the file is one, as far as its headers tell.
func (f *File) executable() bool { return len(f.segments) > 0 }

// Lookup appends the functions at an address of the file to dst: the innermost
// inlined one first, the function that was called last. It appends nothing for
// addresses without a symbol and while the tables are not built; a File whose
// tables were dropped has them built again in the background.
func (f *File) Lookup(addr uint64, dst []Symbol) []Symbol {
	f.used.Store(time.Now().UnixNano())
	if s := f.state.Load(); s == stateBuilding || s == stateFailed {
		return dst
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.state.Load() == stateNew && time.Since(f.built) >= rebuildAfter {
		f.cache.enqueue(f)
	}
	if f.state.Load() != stateReady {
		return dst
	}
	if f.jit != nil {
		if time.Since(f.jit.checked) >= jitRefresh {
			f.refreshJIT(maxJITTail)
		}
		return f.jit.lookup(addr, dst)
	}
	n := len(dst)
	err := guard(func() error {
		dst = f.lookup(addr, dst)
		return nil
	})
	if err != nil {
		f.fail()
		f.cache.count(ErrorFault)
		return dst[:n]
	}
	if f.lookups >= unloadAfter {
		f.lookups = 0
		f.unload()
	}
	return dst
}

// reading notes that a lookup reads the file.
func (f *File) reading() {
	f.touched.Store(true)
	f.lookups++
}

func (f *File) lookup(addr uint64, dst []Symbol) []Symbol {
	if f.golang != nil {
		f.reading()
		if i, ok := f.golang.find(addr); ok {
			g, ok := f.golang.function(i)
			if !ok {
				return dst
			}
			var buf [8]goFrame
			for _, fr := range f.golang.frames(g, addr, buf[:0]) {
				dst = append(dst, Symbol{
					Name: f.goText(uint64(fr.name)), File: f.goText(goSource | uint64(fr.file)),
					StartLine: fr.startLine, Line: fr.line, Kind: KindGo,
				})
			}
			return dst
		}
	}
	if f.elf == nil {
		return dst
	}
	i, ok := f.elf.find(addr)
	if !ok {
		return dst
	}
	s, known := f.names[uint64(i)]
	if !known {
		f.reading()
		s.Kind = KindNative
		s.System = text(f.elf.name(i))
		s.Name = demangled(s.System)
		if s.Name == s.System {
			s.System = ""
		}
		f.remember(uint64(i), s)
	}
	if s.Name == "" {
		return dst
	}
	return append(dst, s)
}

// remember keeps a resolved name: demangling and copying happen once a symbol.
func (f *File) remember(key uint64, s Symbol) {
	if f.names == nil {
		f.names = make(map[uint64]Symbol)
	}
	f.names[key] = s
	f.addBytes(int64(len(s.Name)+len(s.System)) + 160)
}

const goSource = 1 << 32

// goText returns a name of the Go table, copied once.
func (f *File) goText(key uint64) string {
	if s, ok := f.texts[key]; ok {
		return s
	}
	var s string
	if key&goSource != 0 {
		s = text(f.golang.fileName(uint32(key)))
	} else {
		s = text(f.golang.name(uint32(key)))
	}
	if f.texts == nil {
		f.texts = make(map[uint64]string)
	}
	f.texts[key] = s
	f.addBytes(int64(len(s)) + 48)
	return s
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
	if f.jit != nil {
		f.refreshJIT(maxJITRead)
		f.built = time.Now()
		f.state.Store(stateReady)
		return nil
	}
	defer f.unload()
	f.touched.Store(true)
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
	switch {
	case errors.Is(err, errFault):
		f.fail()
		return err
	case err != nil:
		// The contents may still be of use to others, see Data.
		f.drop()
		f.state.Store(stateFailed)
		return err
	}
	f.built = time.Now()
	f.state.Store(stateReady)
	f.addBytes(int64(f.elf.bytes()))
	return nil
}

// fail gives the file up for good. f.mu is held.
func (f *File) fail() {
	f.drop()
	f.unmap()
	if f.jit != nil {
		f.jit.close(f.cache)
	}
	f.state.Store(stateFailed)
}

// drop frees the tables; they can be built again. f.mu is held.
func (f *File) drop() {
	f.addBytes(-f.bytes.Load())
	f.elf, f.golang, f.names, f.texts = nil, nil, nil, nil
	if f.jit != nil {
		f.jit.reset()
	}
	f.state.CompareAndSwap(stateReady, stateNew)
}

// unmap gives the file back to its file system. f.mu is held.
func (f *File) unmap() {
	f.dataMu.Lock()
	defer f.dataMu.Unlock()
	if f.mapped {
		_ = unix.Munmap(f.data)
	}
	f.data, f.mapped = nil, false
}
