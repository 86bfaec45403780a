package stackdict

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/ClickHouse/ch-go/proto"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/layout"
	"github.com/aperture-collector/aperture-collector/internal/profile"
)

// ErrUnknown says that stacks are not in the tables, or not what their ids say.
var ErrUnknown = errors.New("unknown stacks")

const (
	// epoch is how long stacks are added to a dictionary, in seconds.
	epoch = int64(7 * 24 * time.Hour / time.Second)
	// late is by how much rows may be stored after the end of the epoch of the
	// dictionary that they refer to, in seconds: far more than can be.
	late = int64(24 * time.Hour / time.Second)
)

// atOnce bounds the frames of stacks of the log that are handled together: their
// ids of locations take 16 MB, and they fit into a dictionary that has nothing else.
// Of stacks that were not asked for extraStacks are read at most, extraFrames are
// taken, and none with more than usualDepth.
const (
	atOnce      = 1 << 20
	extraStacks = 1 << 14
	extraFrames = 1 << 18
	usualDepth  = 256
)

// checkAfter is how long it is taken for granted that what was written is there.
var checkAfter = 10 * time.Second

// Insert stores a block in a table unless one of this token was stored before.
type Insert func(ctx context.Context, table string, input proto.Input, token string) error

// Author writes dictionaries: one for each service and week that nobody else adds
// to. It is not safe for concurrent use; there may be any number of them.
type Author struct {
	cache  *Cache
	insert Insert
	max    int64 // bytes of builders

	epoch int64 // of all books, Unix seconds
	books map[service]*book
	live  *list.List // of *book with a builder, the one used last in front
	bytes int64
}

type service struct{ tenant, name string }

// book is a dictionary that is being written.
type book struct {
	key      Key
	epoch    int64 // Unix seconds
	segments uint32
	stacks   int
	checked  time.Time // when all segments were there

	builder *builder // nil: not in memory
	bytes   int64
	place   *list.Element
}

// NewAuthor returns an author that keeps about so many bytes in memory. cache reads
// the same tables.
func NewAuthor(cache *Cache, insert Insert, bytes int64) *Author {
	return &Author{cache: cache, insert: insert, max: bytes, books: make(map[service]*book), live: list.New()}
}

// Number returns the numbers of stacks of a service in a dictionary which has all of
// them when it returns. now is the time of the server in Unix
// seconds. The error wraps [ErrUnknown] if a stack is in no table.
func (a *Author) Number(ctx context.Context, tenant, name string, now int64, stacks []proto.UInt128) (dictionary uint64, numbers []uint32, err error) {
	k := service{tenant, name}
	ids := make([]profile.ID, len(stacks))
	for i, id := range stacks {
		ids[i] = layout.FromID(id)
	}
	b, err := a.open(ctx, k, now-now%epoch)
	if err != nil {
		return 0, nil, err
	}
	missing := b.builder.dict.missing(ids)
	if len(missing) > 0 {
		if b, err = a.add(ctx, k, b, ids, missing); err != nil {
			return 0, nil, err
		}
	}
	numbers = make([]uint32, len(ids))
	d := b.builder.dict
	d.index.mu.Lock()
	defer d.index.mu.Unlock()
	for i, id := range ids {
		numbers[i], _ = d.stack(id)
	}
	return b.key.ID, numbers, nil
}

// missing returns the ids that d does not have, each once.
func (d *Dictionary) missing(ids []profile.ID) (out []profile.ID) {
	d.index.mu.Lock()
	defer d.index.mu.Unlock()
	for _, id := range ids {
		if _, ok := d.stack(id); !ok {
			out = append(out, id)
		}
	}
	slices.SortFunc(out, profile.ID.Compare)
	return slices.Compact(out)
}

// open returns the book of a service, ready to be written.
func (a *Author) open(ctx context.Context, k service, at int64) (*book, error) {
	if a.epoch != at {
		a.epoch, a.bytes = at, 0
		clear(a.books)
		a.live.Init()
	}
	b := a.books[k]
	if b == nil {
		return a.begin(k), nil
	}
	if b.segments > 0 && time.Since(b.checked) > checkAfter {
		// The tables may have been lost, or the service deleted.
		n, err := a.cache.tables.count(ctx, b.key)
		if err != nil {
			return nil, err
		}
		if n != uint64(b.segments) {
			return a.begin(k), nil
		}
		b.checked = time.Now()
	}
	if b.builder == nil {
		found, err := a.cache.Get(ctx, k.tenant, []Ref{{k.name, b.key.ID, b.stacks}})
		if errors.Is(err, ErrInvalid) {
			return a.begin(k), nil
		}
		if err != nil {
			return nil, err
		}
		// The cache goes on with its own.
		b.builder = newBuilder(found[0].clone())
		a.keep(b)
	}
	a.live.MoveToFront(b.place)
	return b, nil
}

// begin begins another dictionary.
func (a *Author) begin(k service) *book {
	a.drop(k)
	b := &book{key: Key{k.tenant, k.name, rand.Uint64N(1<<63-1) + 1}, epoch: a.epoch, stacks: 1, builder: newBuilder(empty())}
	a.books[k] = b
	a.keep(b)
	return b
}

// drop ends a dictionary: what was written of it stays.
func (a *Author) drop(k service) {
	if b := a.books[k]; b != nil {
		a.forget(b)
		delete(a.books, k)
	}
}

// keep counts the memory of a book, and takes the builders of others away.
func (a *Author) keep(b *book) {
	if b.place == nil {
		b.place = a.live.PushFront(b)
	}
	a.bytes -= b.bytes
	b.bytes = b.builder.bytes()
	a.bytes += b.bytes
	for a.bytes > a.max && a.live.Back() != b.place {
		a.forget(a.live.Back().Value.(*book))
	}
}

func (a *Author) forget(b *book) {
	if b.place != nil {
		a.live.Remove(b.place)
		a.bytes -= b.bytes
	}
	b.builder, b.place, b.bytes = nil, nil, 0
}

// add adds stacks: at least those that are missing, and what else the log has.
func (a *Author) add(ctx context.Context, k service, b *book, all, missing []profile.ID) (*book, error) {
	stacks, err := a.find(ctx, k, b.builder.dict, missing)
	if err != nil {
		return nil, err
	}
	if !b.builder.room(stacks) {
		b = a.begin(k)
		if stacks, err = a.find(ctx, k, b.builder.dict, b.builder.dict.missing(all)); err != nil {
			return nil, err
		}
		if !b.builder.room(stacks) {
			return nil, fmt.Errorf("%w: service %q: %d stacks do not fit into a dictionary", ErrUnknown, k.name, len(stacks))
		}
	}
	s, err := b.builder.build(stacks)
	if err != nil {
		a.drop(k)
		return nil, fmt.Errorf("add %d stacks of service %q: %w", len(stacks), k.name, err)
	}
	if err := a.insert(ctx, Table, row(b, s), fmt.Sprintf("stacks-%016x-%d", b.key.ID, s.Seq)); err != nil {
		// Nobody knows whether it is stored. Nothing refers to it.
		a.drop(k)
		return nil, err
	}
	b.checked = time.Now()
	b.segments, b.stacks = s.Seq, b.builder.dict.Len()
	a.keep(b)
	return b, nil
}

// find reads stacks, and others of the service that are in the log: it is few
// inserts for a service then, and not one for each of its rows.
func (a *Author) find(ctx context.Context, k service, d *Dictionary, missing []profile.ID) ([]stack, error) {
	found := make(map[profile.ID][]profile.ID, len(missing))
	if !a.cache.tables.Replicated() { // else the log has everything
		if err := a.cache.tables.some(ctx, k, found); err != nil {
			return nil, err
		}
	}
	var rest []profile.ID
	for _, id := range missing {
		if _, ok := found[id]; !ok {
			rest = append(rest, id)
		}
	}
	if len(rest) > 0 {
		more, err := a.cache.Find(ctx, k.tenant, k.name, rest)
		if err != nil {
			return nil, err
		}
		maps.Copy(found, more)
	}
	var scratch []byte
	out := make([]stack, 0, len(found))
	for _, id := range missing {
		path, ok := found[id]
		if ok {
			ok, scratch = isStack(id, path, scratch)
		}
		if !ok {
			return nil, fmt.Errorf("%w: stack %s of service %q", ErrUnknown, id, k.name)
		}
		out = append(out, stack{id, path})
		delete(found, id)
	}
	for id, path := range found {
		if _, known := d.Stack(id); known {
			continue
		}
		var ok bool
		if ok, scratch = isStack(id, path, scratch); ok {
			out = append(out, stack{id, path})
		}
	}
	return out, nil
}

// isStack reports whether a stack is what its id says, and fits into a dictionary.
func isStack(id profile.ID, locations []profile.ID, scratch []byte) (bool, []byte) {
	is, scratch := profile.StackID(locations, scratch)
	return is == id && len(locations) > 0 && len(locations) <= MaxDepth, scratch
}

// row is the block of a segment.
func row(b *book, s *Segment) proto.Input {
	c := newColumns()
	c.add(b.key, s)
	tenant := proto.NewLowCardinality[string](new(proto.ColStr))
	tenant.Append(b.key.Tenant)
	var at, stored proto.ColDateTime
	at.Data = append(at.Data, proto.DateTime(b.epoch))
	stored.Data = append(stored.Data, proto.DateTime(b.epoch+epoch+late))
	input := proto.Input{{Name: "tenant", Data: tenant}, {Name: "epoch", Data: &at}, {Name: "stored", Data: &stored}}
	for _, col := range c.all() {
		input = append(input, proto.InputColumn{Name: col.name, Data: col.data})
	}
	return input
}
