package symbol

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// Kinds of errors that a Cache counts.
const (
	ErrorGone       = "process_gone" // the process ended before its files were opened
	ErrorPermission = "permission"   // CAP_SYS_PTRACE, CAP_DAC_READ_SEARCH or a foreign user's file
	ErrorReplaced   = "replaced"     // the file at the path is another one by now
	ErrorNotELF     = "not_elf"      // no executable of a kind that is understood
	ErrorNoSymbols  = "no_symbols"   // stripped
	ErrorTooLarge   = "too_large"    // over a limit
	ErrorFault      = "fault"        // changed while it was read
	ErrorOther      = "other"
)

// ErrNoSymbols is returned for executables without a symbol table.
var ErrNoSymbols = errors.New("no symbol table")

func errNoSymbols(cause error) error {
	if cause != nil {
		return fmt.Errorf("%w: %w", ErrNoSymbols, cause)
	}
	return ErrNoSymbols
}

const (
	// maxFiles bounds the number of files that are known, with and without
	// symbols.
	maxFiles = 16384
	// idleFile is how long a file that no process has mapped is kept.
	idleFile = 5 * time.Minute
	// rebuildAfter keeps files that do not fit the cache together from being
	// built over and over.
	rebuildAfter = time.Minute
)

// Cache holds the symbols of files. It reads headers at once and builds tables
// in the background, one file at a time. It is safe for concurrent use.
type Cache struct {
	maxBytes int64
	bytes    atomic.Int64

	mu      sync.Mutex
	byStat  map[fileKey]*File
	byBuild map[buildKey]*File
	pseudo  map[string]*File // memory that is not backed by a file, by name
	files   int
	jits    map[*File]struct{} // anonymous memory, one for each process
	// jitFiles is the number of perf maps that are open.
	jitFiles atomic.Int64

	emu  sync.Mutex // no other lock is taken while it is held
	errs map[string]int64

	qmu     sync.Mutex
	queue   []*File
	pending int
	idle    chan struct{} // closed and replaced when pending becomes 0
	wake    chan struct{}
	stop    chan struct{}
	done    chan struct{}
	once    sync.Once
}

// buildKey joins files that are copies of one another. The size is part of it
// because a stripped executable has the same build id with fewer symbols, the owner
// because everybody can write a file with the build id of another one: it must not
// stand for that of another user.
type buildKey struct {
	id   BuildID
	size int64
	uid  uint32
}

// NewCache returns a cache that keeps at most maxBytes of symbols on the heap.
// Close it.
func NewCache(maxBytes int64) *Cache {
	c := &Cache{
		maxBytes: maxBytes,
		byStat:   make(map[fileKey]*File), byBuild: make(map[buildKey]*File), pseudo: make(map[string]*File),
		jits: make(map[*File]struct{}), errs: make(map[string]int64), idle: make(chan struct{}),
		wake: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{}),
	}
	go c.work()
	return c
}

// Close stops the worker and gives all files back. Lookups find nothing then.
func (c *Cache) Close() {
	c.once.Do(func() {
		close(c.stop)
		<-c.done
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, f := range c.all() {
			f.mu.Lock()
			f.fail()
			f.mu.Unlock()
		}
		clear(c.byStat)
		clear(c.byBuild)
		clear(c.pseudo)
		clear(c.jits)
		c.files = 0
	})
}

// Bytes returns the size of all tables and names on the heap.
func (c *Cache) Bytes() int64 { return c.bytes.Load() }

// Files returns the number of files that are known.
func (c *Cache) Files() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.files
}

// Errors returns how many files could not be used, by kind of error.
func (c *Cache) Errors() map[string]int64 {
	c.emu.Lock()
	defer c.emu.Unlock()
	m := make(map[string]int64, len(c.errs))
	for k, v := range c.errs {
		m[k] = v
	}
	return m
}

func (c *Cache) count(kind string) {
	c.emu.Lock()
	c.errs[kind]++
	c.emu.Unlock()
}

func errorKind(err error) string {
	switch {
	case errors.Is(err, errFault):
		return ErrorFault
	case errors.Is(err, ErrNoSymbols):
		return ErrorNoSymbols
	case errors.Is(err, errNotELF), errors.Is(err, errUnsupported), errors.Is(err, errNotRegular):
		return ErrorNotELF
	case errors.Is(err, errTooLarge):
		return ErrorTooLarge
	case errors.Is(err, errReplaced):
		return ErrorReplaced
	case errors.Is(err, os.ErrPermission), errors.Is(err, unix.EXDEV):
		return ErrorPermission
	case errors.Is(err, os.ErrNotExist), errors.Is(err, unix.ESRCH):
		return ErrorGone
	}
	return ErrorOther
}

// acquire returns the File of a region of a process. Release it.
func (c *Cache) acquire(pid int, m region) *File {
	if !m.inFile() {
		return c.memory(m.path)
	}
	fd, err := openRegion(pid, m)
	if err != nil {
		c.count(errorKind(err))
		return c.memory(m.path)
	}
	defer func() { _ = unix.Close(fd) }()
	key, err := statKey(fd)
	if err != nil {
		c.count(errorKind(err))
		return c.memory(m.path)
	}
	c.mu.Lock()
	f := c.byStat[key]
	if f != nil {
		f.refs++
	}
	c.mu.Unlock()
	if f != nil {
		return f
	}
	return c.add(key, newFile(c, m.path, fd, key))
}

// newFile maps a file and reads its headers.
func newFile(c *Cache, path string, fd int, key fileKey) *File {
	f := &File{Path: path, cache: c, size: key.size, uid: key.uid}
	data, err := mapFile(fd, key.size)
	if err == nil {
		f.data, f.mapped = data, true
		err = f.readHeaders()
	}
	if err != nil {
		if !(region{path: path}).shared() { // see anonymous
			c.count(errorKind(err))
		}
		f.mu.Lock()
		f.fail()
		f.mu.Unlock()
	}
	return f
}

func (f *File) readHeaders() error {
	return guard(func() error {
		e, err := parseELF(f.data)
		if err != nil {
			return err
		}
		f.segments, f.BuildID = e.segments, e.buildID()
		return nil
	})
}

// add makes f known under its identities, or returns the File that already has
// one of them, with one reference more.
func (c *Cache) add(key fileKey, f *File) *File {
	c.mu.Lock()
	defer c.mu.Unlock()
	other := c.byStat[key]
	build := buildKey{f.BuildID, key.size, key.uid}
	if other == nil && f.BuildID.ID != "" {
		other = c.byBuild[build]
	}
	if other != nil {
		f.mu.Lock()
		f.fail()
		f.mu.Unlock()
		c.identify(key, other)
		other.refs++
		return other
	}
	if c.files >= maxFiles {
		c.count(ErrorTooLarge)
		f.mu.Lock()
		f.fail()
		f.mu.Unlock()
		return f
	}
	c.files++
	c.identify(key, f)
	if f.BuildID.ID != "" {
		c.byBuild[build] = f
	}
	f.refs++
	f.used.Store(time.Now().UnixNano())
	if f.state.Load() == stateNew { // nobody else knows f yet
		c.enqueue(f)
	}
	return f
}

// maxCopies bounds how many copies and versions of a file are known to be the
// same.
const maxCopies = 64

// identify makes f known under key. c.mu is held.
func (c *Cache) identify(key fileKey, f *File) {
	if len(f.stats) >= maxCopies {
		delete(c.byStat, f.stats[0])
		f.stats = slices.Delete(f.stats, 0, 1)
	}
	c.byStat[key] = f
	f.stats = append(f.stats, key)
}

// memory returns the File of memory that has no file, or none that can be read.
func (c *Cache) memory(name string) *File {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f := c.pseudo[name]; f != nil {
		f.refs++
		return f
	}
	f := &File{Path: name, cache: c, refs: 1}
	f.used.Store(time.Now().UnixNano())
	f.state.Store(stateFailed)
	if name == vdsoName {
		if data, err := vdso(); err == nil {
			f.data = data
			if f.readHeaders() == nil {
				f.state.Store(stateNew)
			}
		}
	}
	if len(c.pseudo) < maxFiles {
		c.pseudo[name] = f
	}
	if f.state.Load() == stateNew {
		c.enqueue(f)
	}
	return f
}

// release gives up a reference of acquire.
func (c *Cache) release(f *File) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f.refs > 0 {
		f.refs--
	}
}

func (c *Cache) all() []*File {
	seen := make(map[*File]bool, len(c.byStat))
	files := make([]*File, 0, len(c.pseudo)+len(c.byStat))
	for _, f := range c.pseudo {
		files = append(files, f)
	}
	for f := range c.jits {
		files = append(files, f)
	}
	for _, f := range c.byStat {
		if !seen[f] {
			seen[f] = true
			files = append(files, f)
		}
	}
	return files
}

// Trim keeps the cache within its size: it drops the tables that were used
// least recently, and gives back files that no process has mapped, and the pages
// of those that were read. Call it now
// and then.
func (c *Cache) Trim() {
	c.mu.Lock()
	defer c.mu.Unlock()
	files := c.all()
	old := time.Now().Add(-idleFile).UnixNano()
	for _, f := range files {
		if f.refs == 0 && f.used.Load() < old && f.state.Load() != stateBuilding {
			c.forget(f)
			continue
		}
		if f.state.Load() != stateBuilding {
			f.unload()
		}
	}
	if c.bytes.Load() <= c.maxBytes {
		return
	}
	slices.SortFunc(files, func(a, b *File) int { return cmp.Compare(a.used.Load(), b.used.Load()) })
	for _, f := range files {
		if c.bytes.Load() <= c.maxBytes*9/10 {
			return
		}
		if f.state.Load() == stateBuilding {
			continue
		}
		f.mu.Lock()
		f.drop()
		f.mu.Unlock()
	}
}

// forget removes f from the cache. c.mu is held.
func (c *Cache) forget(f *File) {
	switch {
	case f.jit != nil:
		delete(c.jits, f)
	case c.pseudo[f.Path] == f:
		delete(c.pseudo, f.Path)
	default:
		c.files--
		if k := (buildKey{f.BuildID, f.size, f.uid}); c.byBuild[k] == f {
			delete(c.byBuild, k)
		}
		for _, k := range f.stats {
			delete(c.byStat, k)
		}
	}
	f.mu.Lock()
	f.fail()
	f.mu.Unlock()
}
