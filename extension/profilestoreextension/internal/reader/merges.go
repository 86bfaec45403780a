package reader

import (
	"container/list"
	"sync"

	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// merges keeps answers that came from the hourly totals alone, bounded by bytes;
// what was used longest ago goes first. It is safe for concurrent use.
//
// An answer is valid for one version of the hours (see versionOf), which is read
// for every query. A writer stores the totals of an hour before what the version
// is made of: what is read after a version has at least what that version says.
type merges struct {
	budget int64

	mu      sync.Mutex
	entries map[string]*list.Element
	recent  list.List // of *mergeEntry, the last used first
	epoch   uint64
	stats   CacheStats
}

// mergeEntry is what is known of a query.
type mergeEntry struct {
	key string
	// version is the last that was seen.
	version string
	// merge is the answer for it, nil if it is not kept: queries that are asked
	// once only, or whose hours go on changing, are not worth the memory.
	merge *profilestore.Merge
	// changes counts versions since the answer was last of use.
	changes int
	size    int64
}

// mergeOverhead is what an entry takes beside its strings and its answer.
const mergeOverhead = 256

// fewChanges is how often an answer may have been in vain before no other is
// kept until the hours are found unchanged.
const fewChanges = 2

func newMerges(budget int64) *merges {
	return &merges{budget: budget, entries: make(map[string]*list.Element)}
}

// get returns what is known of a query, the zero entry if nothing is, and the
// epoch for put.
func (c *merges) get(key string) (known mergeEntry, epoch uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.entries[key]; e != nil {
		c.recent.MoveToFront(e)
		known = *e.Value.(*mergeEntry)
	}
	return known, c.epoch
}

// hit notes that an answer was of use.
func (c *merges) hit(key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stats.Hits++
	if e := c.entries[key]; e != nil {
		e.Value.(*mergeEntry).changes = 0
	}
}

// put replaces what is known of a query, unless everything was forgotten since
// the epoch.
func (c *merges) put(entry mergeEntry, epoch uint64) {
	entry.size = mergeOverhead + int64(len(entry.key)+len(entry.version)) + mergeSize(entry.merge)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stats.Misses++
	if epoch != c.epoch {
		return
	}
	if e := c.entries[entry.key]; e != nil {
		c.remove(e)
	}
	if entry.size > c.budget {
		return
	}
	c.entries[entry.key] = c.recent.PushFront(&entry)
	c.stats.Bytes += entry.size
	for c.stats.Bytes > c.budget {
		c.remove(c.recent.Back())
	}
}

func (c *merges) remove(e *list.Element) {
	entry := c.recent.Remove(e).(*mergeEntry)
	delete(c.entries, entry.key)
	c.stats.Bytes -= entry.size
}

// clear forgets everything, also what queries that run now will bring.
func (c *merges) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.epoch++
	clear(c.entries)
	c.recent.Init()
	c.stats.Bytes = 0
}

func (c *merges) snapshot() CacheStats {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stats
}

// mergeSize is about how much memory an answer takes, the frames, which it
// shares with the cache of stacks, left out.
func mergeSize(m *profilestore.Merge) int64 {
	if m == nil {
		return 0
	}
	const kindSize, rowSize, syscallSize, stackSize = 200, 80, 304, 40
	n := int64(len(m.Kinds)*kindSize + len(m.Stacks)*stackSize)
	for i := range m.Kinds {
		k := &m.Kinds[i]
		n += int64(len(k.Rows)*rowSize + len(k.Syscalls)*syscallSize)
	}
	for i := range m.Stacks {
		n += int64(len(m.Stacks[i].Frames) * 8)
	}
	return n
}
