package compact

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ClickHouse/ch-go"
	"github.com/ClickHouse/ch-go/proto"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chconn"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/chunkrow"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/chunktable"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/stackdict"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/schema"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// DB is what a [Compactor] needs of a [chconn.Pool].
type DB interface {
	Do(ctx context.Context, q chconn.Query) error
}

// Options configure a [Compactor].
type Options struct {
	// Tables say where the rows are.
	Tables schema.Options
	Rules  Rules
	// Holder names this process among those that may compact the same tables.
	Holder string
	// Every is how often rows are looked at (10 s), Lease how long nobody else
	// compacts when this process dies (1 min).
	Every, Lease time.Duration
	// Timeout and MaxMemoryUsage (bytes) bound every statement (1 min, 1 GiB).
	Timeout        time.Duration
	MaxMemoryUsage int64
	// Lagging says that a row may be stored and not yet be seen, because another
	// replica answers. Rows older than DeleteDelay must be seen even so.
	Lagging bool
	// Of all services, one in Parts (1) is this compactor's: those of part number
	// Part, from 0. Each part has a lease of its own.
	Part, Parts int
	// Everywhere runs statements on all servers that have rows of the table; nil if
	// the servers see to that themselves.
	Everywhere DB
	// OnLead is told that the lease was taken or renewed: a pass may take longer than
	// one. OnPass is told what there is at the begin of every pass, OnMade about every
	// row that was made, OnDeleted about rows that were asked to be deleted, OnError
	// about what will be tried again.
	OnLead    func(context.Context)
	OnPass    func(context.Context, Backlog)
	OnMade    func(context.Context, Made)
	OnDeleted func(ctx context.Context, rows int)
	OnError   func(context.Context, error)
	// OnDrained is told how the log of stacks was emptied.
	OnDrained func(context.Context, stackdict.Drained)
	// Logs calls its argument with each server whose log of stacks this compactor
	// empties; nil for a single server, where it is the one of db.
	Logs func(ctx context.Context, f func(ctx context.Context, db DB) error) error
}

// Made describes a row that was made of others.
type Made struct {
	Key   chunkrow.Key
	Level uint8
	// Rows were replaced, with that many incidences and bytes before.
	Rows              int
	Incidences, Bytes int64
	// After is how many bytes the row takes.
	After int64
	Took  time.Duration
}

// Backlog describes the rows of levels 0 and 1, replaced or not.
type Backlog struct {
	Rows uint64
	// Oldest is how long the oldest has been there.
	Oldest time.Duration
}

// Compactor compacts the rows of a table. It does one thing at a time, and is not
// safe for concurrent use; there may be any number of them on one table.
type Compactor struct {
	db     DB
	opts   Options
	table  string
	merger Merger
	block  *chunkrow.Block
	known  map[chunkrow.Key]*known
	asked  map[partition]asked
	author *stackdict.Author
	// drainAt is when the log of stacks is to be emptied; zero: not soon.
	drainAt time.Time
	renew   time.Time // the lease is ours until after that; zero: it is not
}

// known is what was found of a key.
type known struct {
	candidate
	due     int64 // nothing is to be done before, in Unix milliseconds
	gone    [2][]uint64
	losers  []*stored
	damaged map[uint64]bool
	// full are rows of which no row of minutes is made, because they fit into none with
	// others.
	full map[uint64]bool
	// least is the lowest number that the next row may have: of those before the tokens
	// are used up. missing is the number of a row that was stored and is not seen, missed
	// since when.
	least, missing uint32
	missed         time.Time
}

// New returns a compactor.
func New(db DB, o Options) *Compactor {
	o.Rules = o.Rules.withDefaults()
	if o.Every <= 0 {
		o.Every = 10 * time.Second
	}
	if o.Lease <= 0 {
		o.Lease = time.Minute
	}
	if o.Timeout <= 0 {
		o.Timeout = time.Minute
	}
	if o.MaxMemoryUsage <= 0 {
		o.MaxMemoryUsage = 1 << 30
	}
	if o.Parts < 1 {
		o.Parts = 1
	}
	if o.Everywhere == nil {
		o.Everywhere = db
	}
	c := &Compactor{
		db: db, opts: o, table: o.Tables.Table(chunktable.Name), block: chunkrow.NewBlock(),
		known: make(map[chunkrow.Key]*known), asked: make(map[partition]asked),
	}
	c.author = c.newAuthor()
	c.closed() // what another compactor left
	return c
}

// Run compacts until ctx ends.
func (c *Compactor) Run(ctx context.Context) {
	for ctx.Err() == nil {
		if err := c.Pass(ctx); err != nil && ctx.Err() == nil {
			c.failed(ctx, err)
		}
		chconn.Pause(ctx, c.opts.Every)
	}
}

func (c *Compactor) failed(ctx context.Context, err error) {
	if c.opts.OnError != nil {
		c.opts.OnError(ctx, err)
	}
}

// Pass does once what is due, if the lease can be had.
func (c *Compactor) Pass(ctx context.Context) error {
	if ok, err := c.lead(ctx); err != nil || !ok {
		return err
	}
	all, now, err := c.candidates(ctx)
	if err != nil {
		return err
	}
	if c.opts.OnPass != nil {
		c.opts.OnPass(ctx, backlog(all, now))
	}
	before := c.known
	c.known = make(map[chunkrow.Key]*known, len(all))
	var look []*known
	for i := range all {
		k := before[all[i].Key]
		if k == nil {
			k = &known{damaged: make(map[uint64]bool), full: make(map[uint64]bool)}
		}
		c.known[all[i].Key] = k
		if k.levels == all[i].levels && k.newest == all[i].newest && now < k.due {
			continue
		}
		k.candidate, k.due = all[i], 0 // also if the pass ends early
		look = append(look, k)
	}
	for len(look) > 0 {
		n := some(look)
		switch err := c.keys(ctx, look[:n], now); {
		case errors.Is(err, errLost):
			return nil
		case err != nil:
			return err
		}
		look = look[n:]
		if ok, err := c.lead(ctx); err != nil || !ok {
			return err
		}
	}
	if err := c.clean(ctx, now); err != nil {
		return err
	}
	return c.drain(ctx)
}

// What is looked at together: keys, and their rows of levels 0 and 1.
const (
	keysAtOnce = 64
	rowsAtOnce = 8192
)

// some returns how many of the keys are looked at together, at least one.
func some(look []*known) (n int) {
	rows := uint64(0)
	for n < len(look) && n < keysAtOnce && (n == 0 || rows < rowsAtOnce) {
		rows += look[n].levels[0] + look[n].levels[1]
		n++
	}
	return n
}

// keys does what is due for the rows of keys, together as far as it goes: what fails
// is tried for each of them alone, because one must not stop the others. Errors of
// single keys go to OnError.
func (c *Compactor) keys(ctx context.Context, all []*known, now int64) error {
	for _, k := range all {
		k.due = 0 // until all is done
	}
	err := c.together(ctx, all)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errLate):
		// What is left waits for the next pass: one alone would take as long.
		c.failed(ctx, err)
		return nil
	case ctx.Err() != nil || errors.Is(err, profilestore.ErrUnavailable) || errors.Is(err, errLost):
		return err
	case len(all) == 1:
		c.failed(ctx, err)
		all[0].due = now + time.Minute.Milliseconds()
		return nil
	}
	for i := range all {
		if err := c.keys(ctx, all[i:i+1], now); err != nil {
			return err
		}
	}
	return nil
}

// together does what is due for the rows of keys.
func (c *Compactor) together(ctx context.Context, all []*known) error {
	snapshots, err := c.snapshots(ctx, all)
	if err != nil {
		return err
	}
	var tasks []*task
	for i, k := range all {
		s := snapshots[i]
		rows := make([]*stored, 0, len(s.rows))
		for i, r := range s.rows {
			if s.visible[i] && !k.damaged[r.ID] {
				rows = append(rows, r)
			}
		}
		jobs, due := c.opts.Rules.plan(rows, k.full, k.Hour, s.now)
		switch {
		case len(jobs) == 0:
			c.nothingDue(k, s, due)
		case c.opts.Lagging && !s.complete(&k.Key, c.opts.Rules.DeleteDelay):
		default:
			tasks = append(tasks, &task{known: k, snapshot: s, jobs: jobs, seq: s.next(&k.Key, k.least)})
		}
	}
	return c.make(ctx, tasks) // the next pass looks at the result
}

// nothingDue notes what can be deleted of a key of which no row is to be made.
func (c *Compactor) nothingDue(k *known, s *snapshot, due int64) {
	k.gone, k.losers, k.due = s.replaced(c.opts.Rules.DeleteDelay)
	k.due = min(k.due, due)
}

// insert stores a block, unless one of this token was stored before.
func (c *Compactor) insert(ctx context.Context, table string, input proto.Input, token string) error {
	settings := append(c.settings(),
		chconn.Setting("async_insert", "0"),
		chconn.Setting("insert_deduplicate", "1"),
		chconn.Setting("insert_deduplication_token", token))
	err := c.db.Do(ctx, chconn.Query{
		Query: ch.Query{
			Body:     "INSERT INTO " + c.opts.Tables.Table(table) + " (" + chconn.ColumnNames(input) + ") VALUES",
			Input:    input,
			Settings: settings,
		},
		Timeout: c.opts.Timeout,
	})
	if err != nil {
		return fmt.Errorf("write to %s: %w", table, err)
	}
	return nil
}
