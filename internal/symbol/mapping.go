package symbol

import "sort"

// Mapping is an executable part of an address space.
type Mapping struct {
	// Start and End are addresses in the process.
	Start, End uint64
	// Bias is what has to be subtracted from an address in the process to get
	// the address that the file was linked for, which is what [File.Lookup] takes.
	Bias uint64
	// File is never nil. It is retained until the mapping goes or the Space is
	// closed; see [File.Retain].
	File *File
	// Anonymous is true for memory without a file: code of a just-in-time
	// compiler as a rule.
	Anonymous bool
}

// Mappings returns the executable mappings, sorted by address. Neighbours
// without a file are joined.
func (s *Space) Mappings() []Mapping {
	s.mu.Lock()
	defer s.mu.Unlock()
	ms := make([]Mapping, 0, len(s.regions))
	for i := range s.regions {
		r := &s.regions[i]
		s.open(r)
		m := Mapping{Start: r.start, End: r.end, Bias: r.bias, File: r.file, Anonymous: r.jit}
		if n := len(ms); n > 0 && m.Anonymous && ms[n-1].Anonymous && ms[n-1].End == m.Start {
			ms[n-1].End = m.End
			continue
		}
		ms = append(ms, m)
	}
	return ms
}

// bias returns the difference between the addresses of a region and those that
// its file was linked for. A region lies in one segment, but it begins and ends
// at a page's boundary, so it can overlap others in the file.
func (r region) bias(segments []segment) uint64 {
	var best, most uint64
	size := r.end - r.start
	for i, s := range segments {
		if !s.exec {
			continue
		}
		from, to := max(s.off, r.off), min(s.off+s.fileSize, r.off+size)
		if from < to && to-from > most {
			best, most = uint64(i), to-from
		}
	}
	if most == 0 {
		return r.start - r.off // not an ELF file: offsets serve as addresses
	}
	s := segments[best]
	return r.start - r.off + s.off - s.vaddr
}

func (s *Space) find(addr uint64) *mappedRegion {
	i := sort.Search(len(s.regions), func(i int) bool { return s.regions[i].end > addr })
	if i == len(s.regions) || addr < s.regions[i].start {
		return nil
	}
	return &s.regions[i]
}
