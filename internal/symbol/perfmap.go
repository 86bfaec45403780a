package symbol

import (
	"bytes"
	"cmp"
	"slices"
	"sort"
)

// perfMap is what a perf-PID.map file says about the code that a just-in-time
// compiler has written: sorted entries that do not overlap. Format: Linux,
// tools/perf/Documentation/jit-interface.txt.
type perfMap struct {
	entries []perfEntry
	names   []byte // each ends with a zero byte
}

type perfEntry struct {
	addr uint64
	size uint32
	name uint32 // offset in names
}

const perfEntryBytes = 16

// bytes returns the size on the heap.
func (m *perfMap) bytes() int { return cap(m.entries)*perfEntryBytes + cap(m.names) }

// perfLine parses "START SIZE name", numbers in hexadecimal.
func perfLine(line []byte) (addr, size uint64, name []byte, ok bool) {
	start, rest, ok1 := bytes.Cut(line, []byte(" "))
	length, name, ok2 := bytes.Cut(rest, []byte(" "))
	if !ok1 || !ok2 {
		return 0, 0, nil, false
	}
	addr, ok1 = parseHex(bytes.TrimPrefix(start, []byte("0x")))
	size, ok2 = parseHex(bytes.TrimPrefix(length, []byte("0x")))
	name = bytes.Trim(name, " \r\x00")
	if !ok1 || !ok2 || size == 0 || size > 1<<32-1 || addr+size < addr || len(name) == 0 {
		return 0, 0, nil, false
	}
	return addr, size, name[:min(len(name), maxName)], true
}

// add takes in complete lines, newer than all before, and returns how many
// entries were left out because the map would be larger than limit bytes. Lines
// that are no entries are skipped. Newer entries replace those they overlap:
// compilers use memory again.
func (m *perfMap) add(lines []byte, limit int) (dropped int) {
	var batch []perfEntry
	for len(lines) > 0 {
		var line []byte
		line, lines, _ = bytes.Cut(lines, []byte("\n"))
		addr, size, name, ok := perfLine(line)
		if !ok {
			continue
		}
		// Slices grow ahead, and merging takes another copy.
		if (len(m.entries)+len(batch)+1)*perfEntryBytes*2+len(m.names)+len(name)+1 > limit {
			dropped++
			continue
		}
		batch = append(batch, perfEntry{addr: addr, size: uint32(size), name: uint32(len(m.names))})
		m.names = append(append(m.names, name...), 0)
	}
	if len(batch) == 0 {
		return dropped
	}
	// Names are in the order of time, so their offsets tell what is newer.
	slices.SortFunc(batch, func(a, b perfEntry) int {
		return cmp.Or(cmp.Compare(a.addr, b.addr), cmp.Compare(a.name, b.name))
	})
	m.entries = mergePerf(m.entries, batch)
	m.compact()
	return dropped
}

// mergePerf merges two lists that are sorted by address. Of entries that
// overlap the newest remains.
func mergePerf(a, b []perfEntry) []perfEntry {
	out := make([]perfEntry, 0, len(a)+len(b))
	for len(a)+len(b) > 0 {
		var e perfEntry
		if len(b) == 0 || len(a) > 0 && a[0].addr <= b[0].addr {
			e, a = a[0], a[1:]
		} else {
			e, b = b[0], b[1:]
		}
		keep := true
		for keep && len(out) > 0 {
			last := out[len(out)-1]
			if last.addr+uint64(last.size) <= e.addr {
				break
			}
			if keep = last.name < e.name; keep {
				out = out[:len(out)-1]
			}
		}
		if keep {
			out = append(out, e)
		}
	}
	return out
}

// compact drops the names of entries that were replaced when there are more of
// them than of others.
func (m *perfMap) compact() {
	live := 0
	for _, e := range m.entries {
		live += len(m.name(e)) + 1
	}
	if len(m.names) < 2*live+64<<10 {
		return
	}
	// In the order of time, which the offsets keep telling.
	order := make([]int32, len(m.entries))
	for i := range order {
		order[i] = int32(i)
	}
	slices.SortFunc(order, func(a, b int32) int { return cmp.Compare(m.entries[a].name, m.entries[b].name) })
	names := make([]byte, 0, live)
	for _, i := range order {
		name := m.name(m.entries[i])
		m.entries[i].name = uint32(len(names))
		names = append(append(names, name...), 0)
	}
	m.names = names
}

func (m *perfMap) name(e perfEntry) []byte { return cstring(m.names, uint64(e.name)) }

// find returns the name of the code at addr, nil if it is not known.
func (m *perfMap) find(addr uint64) []byte {
	i := sort.Search(len(m.entries), func(i int) bool { return m.entries[i].addr > addr }) - 1
	if i < 0 || addr-m.entries[i].addr >= uint64(m.entries[i].size) {
		return nil
	}
	return m.name(m.entries[i])
}
