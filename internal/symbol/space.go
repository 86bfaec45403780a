package symbol

import (
	"sync"
	"time"
)

// rescan is how soon an unknown address may cause the mappings of a process to
// be read again.
const rescan = time.Second

// Frame is an address within a file, which stays meaningful when the process
// is gone.
type Frame struct {
	// File is nil for an address that no mapping covers.
	File *File
	// Addr is an address of File as Lookup takes it. For memory without a file
	// and without File it is the address in the process.
	Addr uint64
}

// Space is the address space of one process. It keeps what it knows when the
// process ends. It is safe for concurrent use.
type Space struct {
	cache *Cache
	pid   int
	// start tells a later process with the same number apart, 0 if unknown.
	start uint64

	mu      sync.Mutex
	regions []mappedRegion
	jit     *File // all anonymous memory, nil until there is some
	scanned time.Time
	gone    bool
	err     error
}

type mappedRegion struct {
	region
	file *File // nil until it is needed, see open
	bias uint64
	jit  bool // file is that of all anonymous memory
}

// Space reads the mappings of a process. Close it when the process is gone and
// its addresses are no longer of interest. A Space whose mappings could not be
// read (see [Space.Err]) resolves nothing.
func (c *Cache) Space(pid int) *Space {
	s := &Space{cache: c, pid: pid, start: startTime(pid)}
	s.scan()
	return s
}

// Err tells why mappings are missing, nil if they are not.
func (s *Space) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// Close gives the files of the process up.
func (s *Space) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.regions {
		s.forget(&s.regions[i])
	}
	if s.jit != nil {
		s.cache.release(s.jit)
	}
	s.regions, s.jit, s.gone = nil, nil, true
}

// open acquires the file of a region. s.mu is held.
func (s *Space) open(r *mappedRegion) {
	if r.file != nil {
		return
	}
	if !r.anonymous() {
		r.file = s.cache.acquire(s.pid, r.region)
		if !r.shared() || r.file.executable() {
			r.bias = r.region.bias(r.file.segments)
			if !r.inFile() && r.path != vdsoName {
				r.bias = 0
			}
			return
		}
		s.cache.release(r.file)
	}
	if s.jit == nil {
		s.jit = s.cache.jit(s.pid, s.start, runtimeKind(s.regions))
	}
	s.jit.Retain()
	r.file, r.bias, r.jit = s.jit, 0, true
}

// forget releases the file of a region. s.mu is held.
func (s *Space) forget(r *mappedRegion) {
	if r.file != nil {
		s.cache.release(r.file)
	}
}

// Resolve finds what an address of the process is. Unknown addresses cause the
// mappings to be read again, at most once a second.
func (s *Space) Resolve(addr uint64) Frame {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.find(addr)
	if r == nil && !s.gone && time.Since(s.scanned) >= rescan {
		s.scan()
		r = s.find(addr)
	}
	if r == nil {
		return Frame{Addr: addr}
	}
	s.open(r)
	return Frame{File: r.file, Addr: addr - r.bias}
}
