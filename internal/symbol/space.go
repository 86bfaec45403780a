package symbol

import (
	"errors"
	"fmt"
	"os"
	"sort"
	"strconv"
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

// Space is the address space of one process. It is safe for concurrent use.
type Space struct {
	cache *Cache
	pid   int

	mu      sync.Mutex
	regions []mappedRegion
	scanned time.Time
	gone    bool
	err     error
}

type mappedRegion struct {
	region
	file *File // nil until an address of the region is seen
}

// Space reads the mappings of a process. Close it when the process is gone and
// its addresses are no longer of interest. A Space whose mappings could not be
// read (see [Space.Err]) resolves nothing.
func (c *Cache) Space(pid int) *Space {
	s := &Space{cache: c, pid: pid}
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
		if f := s.regions[i].file; f != nil {
			s.cache.release(f)
		}
	}
	s.regions, s.gone = nil, true
}

// scan reads the mappings, keeping the files of those that are still there.
// s.mu is held, or nobody else has s.
func (s *Space) scan() {
	s.scanned = time.Now()
	f, err := os.Open("/proc/" + strconv.Itoa(s.pid) + "/maps")
	if err != nil {
		s.fail(err)
		return
	}
	defer func() { _ = f.Close() }()
	regions, err := parseMaps(f)
	if len(regions) == 0 {
		if err == nil {
			// A process that is ending has no memory any more.
			err = os.ErrNotExist
		}
		s.fail(err)
		return
	}
	s.err = err
	files := make(map[region]*File, len(s.regions))
	for _, r := range s.regions {
		if r.file != nil {
			files[r.region] = r.file
		}
	}
	s.regions = make([]mappedRegion, len(regions))
	for i, r := range regions {
		s.regions[i] = mappedRegion{region: r, file: files[r]}
		delete(files, r)
	}
	for _, f := range files {
		s.cache.release(f)
	}
}

// fail keeps what was known of a process whose mappings cannot be read.
func (s *Space) fail(err error) {
	s.err = fmt.Errorf("read mappings of process %d: %w", s.pid, err)
	if errors.Is(err, os.ErrNotExist) {
		s.gone = true
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
	if r.file == nil {
		r.file = s.cache.acquire(s.pid, r.region)
	}
	switch {
	case r.path == vdsoName:
		return Frame{File: r.file, Addr: r.file.Address(addr - r.start)}
	case !r.inFile():
		return Frame{File: r.file, Addr: addr}
	}
	return Frame{File: r.file, Addr: r.file.Address(addr - r.start + r.off)}
}

func (s *Space) find(addr uint64) *mappedRegion {
	i := sort.Search(len(s.regions), func(i int) bool { return s.regions[i].end > addr })
	if i == len(s.regions) || addr < s.regions[i].start {
		return nil
	}
	return &s.regions[i]
}
