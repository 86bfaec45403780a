package compact

import (
	"context"
	"errors"
	"time"

	"github.com/ClickHouse/ch-go"
	"github.com/ClickHouse/ch-go/proto"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chconn"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/chunkrow"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/stackdict"
)

// dictionaryBytes bounds the dictionaries in memory: those that are written, and
// those that stacks are looked up in. A service of 5000 stacks takes 2 MB.
const dictionaryBytes = 64 << 20

func (c *Compactor) newAuthor() *stackdict.Author {
	cache := stackdict.New(stackdict.Options{Tables: c.opts.Tables, Do: c.named, Bytes: dictionaryBytes / 4})
	return stackdict.NewAuthor(cache, c.insert, dictionaryBytes)
}

// number names the stacks of a row of a closed hour by numbers. One whose stacks are
// not all known keeps their hashes.
func (c *Compactor) number(ctx context.Context, row *chunkrow.Row, now int64) error {
	row.Dictionary, row.Dense = 0, nil
	id, dense, err := c.author.Number(ctx, row.Tenant, row.Service, now/1000, row.Keys.Stacks)
	if errors.Is(err, stackdict.ErrUnknown) {
		return nil
	}
	row.Dictionary, row.Dense = id, dense
	return err
}

// drain empties the log of stacks, a while after the first row of a closed hour: the
// dictionaries have most of them then.
func (c *Compactor) drain(ctx context.Context) error {
	if c.drainAt.IsZero() || time.Now().Before(c.drainAt) {
		return nil
	}
	now, err := c.now(ctx)
	if err != nil {
		return err
	}
	c.drainAt = time.Now().Add(c.opts.Rules.DrainAfter) // if it fails
	if err := c.drainLogs(ctx, now); err != nil {
		return err
	}
	c.drainAt = time.Time{}
	return nil
}

// drainLogs empties the log of every server that is this compactor's.
func (c *Compactor) drainLogs(ctx context.Context, now int64) error {
	var sum stackdict.Drained
	drain := func(ctx context.Context, db DB) error {
		d, err := c.author.Drain(ctx, now, func(ctx context.Context, _ string, q chconn.Query) error { return c.run(ctx, db, q) })
		sum.Parts, sum.Rows, sum.Waiting = sum.Parts+d.Parts, sum.Rows+d.Rows, sum.Waiting+d.Waiting
		return err
	}
	var err error
	if c.opts.Logs == nil {
		err = drain(ctx, c.db)
	} else {
		err = c.opts.Logs(ctx, drain)
	}
	if c.opts.OnDrained != nil {
		c.opts.OnDrained(ctx, sum)
	}
	return err
}

// now returns the time of the server in Unix seconds.
func (c *Compactor) now(ctx context.Context) (now int64, err error) {
	var col proto.ColUInt32
	err = c.named(ctx, "time", chconn.Query{Query: ch.Query{
		Body:   "SELECT toUInt32(toUnixTimestamp(now())) AS now",
		Result: proto.Results{{Name: "now", Data: &col}},
		OnResult: func(context.Context, proto.Block) error {
			for _, v := range col {
				now = int64(v)
			}
			return nil
		},
	}})
	return now, err
}

// named runs a statement of package stackdict.
func (c *Compactor) named(ctx context.Context, _ string, q chconn.Query) error {
	return c.run(ctx, c.db, q)
}

// run runs a statement on one of the servers, within the limits.
func (c *Compactor) run(ctx context.Context, db DB, q chconn.Query) error {
	q.Settings = append(q.Settings, c.settings()...)
	q.Timeout = c.opts.Timeout
	return db.Do(ctx, q)
}

// closed notes that a row of a closed hour was made.
func (c *Compactor) closed() {
	if c.drainAt.IsZero() {
		c.drainAt = time.Now().Add(c.opts.Rules.DrainAfter)
	}
}
