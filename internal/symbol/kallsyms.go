package symbol

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/cespare/xxhash/v2"
)

// ErrNoKernelAddresses is returned when the kernel hides its addresses, which
// it does from processes without CAP_SYSLOG (or with kernel.kptr_restrict 2).
var ErrNoKernelAddresses = errors.New("the kernel hides its addresses: CAP_SYSLOG is missing or kernel.kptr_restrict is 2")

const (
	kallsymsFile = "/proc/kallsyms"
	modulesFile  = "/proc/modules"

	maxKernelSymbols = 4 << 20
	maxKernelNames   = 256 << 20
	// maxKernelFunc bounds how far a kernel symbol reaches; the file has no sizes.
	maxKernelFunc = 1 << 18
	// kernelReload is how soon an unknown address may cause another reading.
	kernelReload = time.Minute
)

// Kernel names kernel addresses. It is safe for concurrent use.
type Kernel struct {
	mu      sync.RWMutex
	table   *kernelTable
	err     error
	loaded  time.Time
	modules uint64 // hash of /proc/modules at that time
}

// kernelTable has the text symbols of the kernel, sorted by address. Names lie
// in one blob: a hundred thousand strings would be a hundred thousand objects
// for the garbage collector.
type kernelTable struct {
	addrs   []uint64
	offs    []uint32 // of the name; the next one's offset is its end
	mods    []uint16 // index into modules
	blob    []byte
	modules []string
}

// NewKernel reads the kernel's symbols. It always returns a Kernel; err tells
// why it knows no names.
func NewKernel() (*Kernel, error) {
	k := &Kernel{}
	k.load()
	return k, k.Err()
}

// Err tells why no kernel symbols are known, nil if they are.
func (k *Kernel) Err() error {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return k.err
}

// Symbols returns the number of functions that are known.
func (k *Kernel) Symbols() int {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return k.table.len()
}

// Bytes returns the size of the table.
func (k *Kernel) Bytes() int64 {
	k.mu.RLock()
	defer k.mu.RUnlock()
	if k.table == nil {
		return 0
	}
	return int64(len(k.table.addrs)*(8+4+2) + len(k.table.blob))
}

// Refresh reads the symbols again if modules came or went.
func (k *Kernel) Refresh() {
	if h := hashFile(modulesFile); h != k.modulesHash() {
		k.load()
	}
}

func (k *Kernel) modulesHash() uint64 {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return k.modules
}

func (k *Kernel) load() {
	modules := hashFile(modulesFile)
	t, err := readKallsyms()
	k.mu.Lock()
	defer k.mu.Unlock()
	k.modules, k.loaded = modules, time.Now()
	if err == nil || k.table == nil {
		k.table, k.err = t, err
	}
}

// Lookup returns the function at addr and the module it is in (empty for the
// kernel itself). An address that is not known causes the symbols to be read
// again, at most once a minute: BPF programs come and go without a sign.
func (k *Kernel) Lookup(addr uint64) (name, module string, ok bool) {
	k.mu.RLock()
	name, module, ok = k.table.lookup(addr)
	stale := !ok && k.err == nil && time.Since(k.loaded) > kernelReload
	k.mu.RUnlock()
	if !stale {
		return name, module, ok
	}
	k.load()
	k.mu.RLock()
	defer k.mu.RUnlock()
	return k.table.lookup(addr)
}

func (t *kernelTable) len() int {
	if t == nil {
		return 0
	}
	return len(t.addrs)
}

func (t *kernelTable) lookup(addr uint64) (name, module string, ok bool) {
	i := sort.Search(t.len(), func(i int) bool { return t.addrs[i] > addr }) - 1
	if i < 0 || addr-t.addrs[i] >= maxKernelFunc {
		return "", "", false
	}
	end := uint32(len(t.blob))
	off := t.offs[i]
	if n := bytes.IndexByte(t.blob[off:end], 0); n >= 0 {
		end = off + uint32(n)
	}
	return string(t.blob[off:end]), t.modules[t.mods[i]], true
}

func readKallsyms() (*kernelTable, error) {
	f, err := os.Open(kallsymsFile)
	if err != nil {
		return nil, fmt.Errorf("read kernel symbols: %w", err)
	}
	defer func() { _ = f.Close() }()
	return parseKallsyms(f)
}

// parseKallsyms reads lines of "address type name[\t[module]]" and keeps the
// text symbols.
func parseKallsyms(r io.Reader) (*kernelTable, error) {
	// About what a kernel of a distribution has: growing there by doubling would
	// leave three times as much garbage behind.
	const symbols, nameBytes = 1 << 17, 4 << 20
	t := &kernelTable{
		addrs: make([]uint64, 0, symbols), offs: make([]uint32, 0, symbols), mods: make([]uint16, 0, symbols),
		blob: make([]byte, 0, nameBytes), modules: []string{""},
	}
	modIndex := map[string]uint16{"": 0}
	sc := bufio.NewScanner(r)
	sc.Buffer(make([]byte, 64<<10), 64<<10)
	hidden := 0
	for sc.Scan() {
		addr, name, module, ok := kallsymsLine(sc.Bytes())
		if !ok {
			continue
		}
		if addr == 0 {
			hidden++
			continue
		}
		if len(t.addrs) >= maxKernelSymbols || len(t.blob)+len(name) >= maxKernelNames {
			return nil, fmt.Errorf("read kernel symbols: more than %d of them or %d bytes of names", maxKernelSymbols, maxKernelNames)
		}
		m, known := modIndex[string(module)]
		if !known {
			if len(t.modules) > 1<<16-1 {
				return nil, fmt.Errorf("read kernel symbols: more than %d modules", 1<<16-1)
			}
			m = uint16(len(t.modules))
			t.modules = append(t.modules, string(module))
			modIndex[t.modules[m]] = m
		}
		t.addrs = append(t.addrs, addr)
		t.offs = append(t.offs, uint32(len(t.blob)))
		t.mods = append(t.mods, m)
		t.blob = append(append(t.blob, name...), 0)
	}
	if err := sc.Err(); err != nil {
		return nil, fmt.Errorf("read kernel symbols: %w", err)
	}
	if len(t.addrs) == 0 {
		if hidden > 0 {
			return nil, ErrNoKernelAddresses
		}
		return nil, errors.New("read kernel symbols: the list is empty (CONFIG_KALLSYMS)")
	}
	if !slices.IsSorted(t.addrs) {
		sort.Stable(t)
	}
	t.clip()
	return t, nil
}

// clip gives the slack of the slices back.
func (t *kernelTable) clip() {
	t.addrs, t.offs = slices.Clone(t.addrs), slices.Clone(t.offs)
	t.mods, t.blob = slices.Clone(t.mods), slices.Clone(t.blob)
}

// Len, Less and Swap sort the symbols by address.
func (t *kernelTable) Len() int           { return len(t.addrs) }
func (t *kernelTable) Less(i, j int) bool { return t.addrs[i] < t.addrs[j] }

func (t *kernelTable) Swap(i, j int) {
	t.addrs[i], t.addrs[j] = t.addrs[j], t.addrs[i]
	t.offs[i], t.offs[j] = t.offs[j], t.offs[i]
	t.mods[i], t.mods[j] = t.mods[j], t.mods[i]
}

// kallsymsLine splits a line; ok is false for data symbols and broken lines.
func kallsymsLine(b []byte) (addr uint64, name, module []byte, ok bool) {
	hex, rest, _ := bytes.Cut(b, []byte(" "))
	if len(rest) < 3 || rest[1] != ' ' || !strings.ContainsRune("tTwW", rune(rest[0])) {
		return 0, nil, nil, false
	}
	if addr, ok = parseHex(hex); !ok {
		return 0, nil, nil, false
	}
	name, module, _ = bytes.Cut(rest[2:], []byte("\t"))
	module = bytes.Trim(module, "[]")
	return addr, name, module, len(name) > 0
}

// parseHex parses up to 16 hexadecimal digits.
func parseHex(b []byte) (v uint64, ok bool) {
	if len(b) == 0 || len(b) > 16 {
		return 0, false
	}
	for _, c := range b {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		default:
			return 0, false
		}
		v = v<<4 | uint64(c)
	}
	return v, true
}

func hashFile(name string) uint64 {
	b, err := os.ReadFile(name)
	if err != nil {
		return 0
	}
	return xxhash.Sum64(b)
}
