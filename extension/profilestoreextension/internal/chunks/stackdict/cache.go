package stackdict

import (
	"cmp"
	"container/list"
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chconn"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/schema"
)

// Options configure a [Cache].
type Options struct {
	Tables schema.Options
	// Do runs queries.
	Do Do
	// Bytes bounds the dictionaries that are kept.
	Bytes int64
}

// Stats count what a [Cache] did since the start.
type Stats struct {
	// Hits and Misses count dictionaries that were asked for.
	Hits, Misses int64
	// Bytes is about what it holds now.
	Bytes int64
}

// Cache reads dictionaries and keeps the ones used last. Of a dictionary that has
// grown only the new segments are read, and what several ask for at once is read
// once. It is safe for concurrent use.
type Cache struct {
	tables tables
	max    int64
	// lagging says that a row may be seen before the segment it refers to.
	lagging bool

	mu      sync.Mutex
	entries map[Key]*entry
	order   *list.List // of *entry, the one used last in front
	stats   Stats
}

// entry is a dictionary as far as it is known.
type entry struct {
	key   Key
	place *list.Element
	bytes int64
	dict  *Dictionary   // guarded by Cache.mu
	busy  chan struct{} // has an element while somebody reads more
}

// New returns an empty cache.
func New(o Options) *Cache {
	return &Cache{
		tables: tables{o.Tables, o.Do}, max: o.Bytes, lagging: o.Tables.Replicated(),
		entries: make(map[Key]*entry), order: list.New(),
	}
}

// Stats returns a snapshot of the counters.
func (c *Cache) Stats() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stats
}

// Clear forgets everything, for when the tables may have been lost.
func (c *Cache) Clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.entries)
	c.order.Init()
	c.stats.Bytes = 0
}

// Ref is a dictionary of a service and how many stacks of it are needed: one more
// than the largest number that is used.
type Ref struct {
	Service string
	ID      uint64
	Stacks  int
}

// Get returns dictionaries of a tenant, in the order of refs, with at least the
// stacks that are asked for. What is not known is read with one query. The error
// wraps [ErrInvalid] if stacks are missing or damaged.
func (c *Cache) Get(ctx context.Context, tenant string, refs []Ref) ([]*Dictionary, error) {
	out := make([]*Dictionary, len(refs))
	var missing []Key
	c.mu.Lock()
	for i, r := range refs {
		k := Key{tenant, r.Service, r.ID}
		if e := c.entries[k]; e != nil && e.dict.Len() >= r.Stacks {
			c.order.MoveToFront(e.place)
			c.stats.Hits++
			out[i] = e.dict
			continue
		}
		c.stats.Misses++
		missing = append(missing, k)
	}
	c.mu.Unlock()
	if len(missing) == 0 {
		return out, nil
	}
	needed := make(map[Key]int, len(missing))
	for i, r := range refs {
		if out[i] == nil {
			k := Key{tenant, r.Service, r.ID}
			needed[k] = max(needed[k], r.Stacks)
		}
	}
	found, err := c.readAll(ctx, sorted(missing), needed)
	if err != nil {
		return nil, err
	}
	for i, r := range refs {
		if out[i] != nil {
			continue
		}
		out[i] = found[Key{tenant, r.Service, r.ID}]
		if n := out[i].Len(); n < r.Stacks {
			return nil, invalid("dictionary %016x of service %q has %d stacks; must be at least %d", r.ID, r.Service, n, r.Stacks)
		}
	}
	return out, nil
}

// lagPauses are those before what is missing is read again: replicas mostly have
// what others have within a second.
var lagPauses = [...]time.Duration{50 * time.Millisecond, 250 * time.Millisecond, time.Second, 2 * time.Second}

// readAll is read that waits for replicas that lag.
func (c *Cache) readAll(ctx context.Context, keys []Key, needed map[Key]int) (map[Key]*Dictionary, error) {
	for attempt := 0; ; attempt++ {
		found, err := c.read(ctx, keys, needed)
		if err != nil || !c.lagging || attempt == len(lagPauses) || complete(found, needed) {
			return found, err
		}
		chconn.Pause(ctx, lagPauses[attempt])
	}
}

func complete(found map[Key]*Dictionary, needed map[Key]int) bool {
	for k, n := range needed {
		if found[k].Len() < n {
			return false
		}
	}
	return true
}

// Known returns a dictionary if it has the stacks that are asked for and is known,
// else nil. It reads nothing.
func (c *Cache) Known(tenant string, r Ref) *Dictionary {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.entries[Key{tenant, r.Service, r.ID}]
	if e == nil || e.dict.Len() < r.Stacks {
		return nil
	}
	c.order.MoveToFront(e.place)
	return e.dict
}

// known returns all dictionaries of a tenant and service that are known, or of all
// its services if that is empty.
func (c *Cache) known(tenant, service string) (out []*Dictionary) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for k, e := range c.entries {
		if k.Tenant == tenant && (service == "" || k.Service == service) {
			out = append(out, e.dict)
		}
	}
	return out
}

// read reads what is missing of dictionaries of one tenant, sorted by key.
func (c *Cache) read(ctx context.Context, keys []Key, needed map[Key]int) (map[Key]*Dictionary, error) {
	entries := make([]*entry, 0, len(keys))
	defer func() {
		for _, e := range entries {
			<-e.busy
		}
	}()
	// Everybody locks in the order of keys.
	for _, k := range keys {
		e := c.entry(k)
		select {
		case e.busy <- struct{}{}:
			entries = append(entries, e)
		case <-ctx.Done():
			return nil, fmt.Errorf("read stack dictionaries: %w", context.Cause(ctx))
		}
	}
	found := make(map[Key]*Dictionary, len(entries))
	var open []wanted
	c.mu.Lock()
	for _, e := range entries {
		found[e.key] = e.dict
		if e.dict.Len() < needed[e.key] {
			open = append(open, wanted{e.key, e.dict.segments})
		}
	}
	c.mu.Unlock()
	if len(open) == 0 {
		return found, nil
	}
	err := c.tables.segments(ctx, open, func(k Key, s *Segment) error {
		d, err := found[k].extend(s)
		if err == nil {
			found[k] = d
		}
		return err
	})
	// What was read before an error is good: the memory of an older one must not
	// be extended once more.
	c.store(entries, found)
	return found, err
}

// entry returns that of a key, a new one if there is none.
func (c *Cache) entry(k Key) *entry {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.entries[k]
	if e == nil {
		e = &entry{key: k, dict: empty(), busy: make(chan struct{}, 1)}
		e.place = c.order.PushFront(e)
		c.entries[k] = e
	}
	return e
}

// store keeps what was read, and forgets what was used longest ago.
func (c *Cache) store(entries []*entry, found map[Key]*Dictionary) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, e := range entries {
		e.dict = found[e.key]
		if c.entries[e.key] != e {
			continue // cleared or forgotten meanwhile
		}
		c.stats.Bytes -= e.bytes
		e.bytes = e.dict.bytes()
		c.stats.Bytes += e.bytes
		c.order.MoveToFront(e.place)
	}
	for c.stats.Bytes > c.max && c.order.Len() > 0 {
		e := c.order.Remove(c.order.Back()).(*entry)
		delete(c.entries, e.key)
		c.stats.Bytes -= e.bytes
	}
}

func compareKeys(a, b Key) int {
	return cmp.Or(cmp.Compare(a.Tenant, b.Tenant), cmp.Compare(a.Service, b.Service), cmp.Compare(a.ID, b.ID))
}
