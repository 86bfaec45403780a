package symbol

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/aperture-collector/aperture-collector/internal/procinfo"
)

// scan reads all mappings, keeping the files of those that are still there, and
// reports whether there are others. s.mu is held, or nobody else has s.
func (s *Space) scan() (found bool) {
	s.scanned = time.Now()
	if s.replaced() {
		return false
	}
	regions, err := queryMaps(s.pid)
	if errors.Is(err, errNoProcmap) {
		regions, err = readMaps(s.pid)
	}
	if len(regions) == 0 {
		if err == nil {
			err = os.ErrNotExist // a process that is ending has no memory any more
		}
		s.fail(err)
		return false
	}
	s.err = err
	known := make(map[region]*mappedRegion, len(s.regions))
	for i := range s.regions {
		known[s.regions[i].region] = &s.regions[i]
	}
	next := make([]mappedRegion, len(regions))
	for i, r := range regions {
		if k := known[r]; k != nil {
			next[i] = *k
			delete(known, r)
			continue
		}
		next[i].region, found = r, true
	}
	for _, k := range known {
		s.forget(k)
	}
	s.regions = next
	return found
}

func readMaps(pid int) ([]region, error) {
	f, err := os.Open("/proc/" + strconv.Itoa(pid) + "/maps")
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	return parseMaps(f)
}

// Rescan looks at what the process has mapped at addr by now, and reports
// whether that was news. Before Linux 6.11 it reads all mappings. The caller
// limits how often that happens.
func (s *Space) Rescan(addr uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gone || s.replaced() {
		return false
	}
	fd, err := unix.Open("/proc/"+strconv.Itoa(s.pid)+"/maps", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		s.fail(err)
		return false
	}
	r, ok, err := queryMap(fd, addr, false)
	_ = unix.Close(fd)
	if err != nil {
		return s.scan()
	}
	return ok && s.insert(r)
}

// insert adds a region in place of those that it overlaps. It reports whether
// it was not there before.
func (s *Space) insert(r region) bool {
	from, _ := slices.BinarySearchFunc(s.regions, r.start, func(m mappedRegion, start uint64) int {
		if m.end > start {
			return 1
		}
		return -1
	})
	to := from
	for to < len(s.regions) && s.regions[to].start < r.end {
		to++
	}
	if to == from+1 && s.regions[from].region == r {
		return false
	}
	if to == from && len(s.regions) >= maxRegions {
		s.err = fmt.Errorf("%w: more than %d executable ones", errTooManyMappings, maxRegions)
		return false
	}
	for i := from; i < to; i++ {
		s.forget(&s.regions[i])
	}
	s.regions = slices.Replace(s.regions, from, to, mappedRegion{region: r})
	return true
}

// replaced finds out that the process has ended and another one has its number.
func (s *Space) replaced() bool {
	if !s.gone && s.start != 0 && startTime(s.pid) != s.start {
		s.fail(os.ErrNotExist)
	}
	return s.gone
}

// fail keeps what was known of a process whose mappings cannot be read.
func (s *Space) fail(err error) {
	s.err = fmt.Errorf("read mappings of process %d: %w", s.pid, err)
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ESRCH) {
		s.gone = true
	}
}

// startTime returns when a process started, in clock ticks since boot, 0 if that
// cannot be read.
func startTime(pid int) uint64 {
	s, err := procinfo.ReadStat(uint32(pid))
	if err != nil {
		return 0
	}
	return s.StartTicks
}
