package chunkreader

import (
	"context"
	"fmt"
	"time"

	"github.com/ClickHouse/ch-go"
	"github.com/ClickHouse/ch-go/proto"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chconn"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/chunkrow"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/chunktable"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/stackdict"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/reader"
	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// Options configure a [Reader].
type Options struct {
	// Options are those of every query.
	reader.Options
	// DeleteDelay is how long rows stay at least once they are covered. A query
	// that takes longer may miss some of them, and is an error.
	DeleteDelay time.Duration
	// BufferBytes bounds the rows that all queries together keep until it is known
	// whether they are covered. What needs more reads the headers first.
	BufferBytes int
}

// Reader implements [profilestore.Reader] and [profilestore.Querier]. It is safe
// for concurrent use.
type Reader struct {
	base *reader.Reader
	opts Options
	from string // the table

	names  names
	calls  *calls
	widths widths
	buffer budget
	turns  turns
	memory seriesMemory
}

var (
	_ profilestore.Reader  = (*Reader)(nil)
	_ profilestore.Querier = (*Reader)(nil)
)

// New returns a reader.
func New(pool *chconn.Pool, o Options) *Reader {
	return &Reader{
		base: reader.New(pool, o.Options), opts: o, from: o.Tables.Table(chunktable.Name),
		calls: newCalls(o.StackCacheSize / 4), buffer: budget{limit: int64(o.BufferBytes)}, turns: newTurns(),
	}
}

// Stacks returns the cache of resolved stacks.
func (r *Reader) Stacks() *reader.Stacks { return r.base.Stacks() }

// Dictionaries returns the cache of stacks by their numbers.
func (r *Reader) Dictionaries() *stackdict.Cache { return r.base.Dictionaries() }

// Batches implements [profilestore.Reader].
func (r *Reader) Batches(ctx context.Context, sel profilestore.Selector, limit int) ([]profile.Batch, error) {
	ctx, done, err := r.begin(ctx, sel, "batches")
	if err != nil {
		return nil, err
	}
	out, err := r.base.Batches(ctx, sel, limit)
	return out, done(err)
}

// columns are the fields of rows that a query needs: of rows that count as a
// whole, and of those that are cut.
type columns struct{ whole, cut chunkrow.Fields }

// of returns the columns without the totals of further types than the first n.
func (c columns) of(n int) columns {
	for j := n; j < profile.MaxTypes; j++ {
		f := chunkrow.Total(j) | chunkrow.ProfileTotal(j)
		c.whole, c.cut = c.whole&^f, c.cut&^f
	}
	return c
}

// selectRows runs one SELECT, which sees one state of the table, and calls f with
// each row. What row refers to is valid until f returns.
// Rows with numbers instead of hashes get hashes. Those whose dictionary is not
// known wait in memory for it: the caller bounds what is read.
func (r *Reader) selectRows(ctx context.Context, name string, s *scan, fields chunkrow.Fields, where string, f func(*chunkrow.Row) error, tables ...ch.ExternalTable) error {
	return r.selectHeld(ctx, nil, name, s, fields, where, f, tables...)
}

// selectHeld is selectRows with a bound for the rows that wait.
func (r *Reader) selectHeld(ctx context.Context, h *held, name string, s *scan, fields chunkrow.Fields, where string, f func(*chunkrow.Row) error, tables ...ch.ExternalTable) error {
	numbered := numbered{Reader: r, scan: s, held: h}
	err := r.selectNumbered(ctx, name, s, fields, where, func(row *chunkrow.Row) error {
		if waits, err := numbered.later(row); waits || err != nil {
			return err
		}
		return f(row)
	}, tables...)
	if err != nil {
		return err
	}
	return numbered.each(ctx, f)
}

// selectNumbered is selectRows that leaves numbers as they are.
func (r *Reader) selectNumbered(ctx context.Context, name string, s *scan, fields chunkrow.Fields, where string, f func(*chunkrow.Row) error, tables ...ch.ExternalTable) error {
	if s.service == "" {
		fields |= chunkrow.Names
	} else {
		fields &^= chunkrow.Names
	}
	res := chunkrow.ReuseResult(fields)
	var row chunkrow.Row
	q := chconn.Query{Params: s.params, Query: ch.Query{
		// Of rows for which the condition does not hold, nothing else is read.
		Body:   "SELECT " + res.Columns() + " FROM " + r.from + " PREWHERE " + where,
		Result: res.Results(),
		OnResult: func(context.Context, proto.Block) error {
			for i := range res.Rows() {
				res.Row(i, &row)
				if s.service != "" {
					row.Tenant, row.Service = s.tenant, s.service
				}
				if err := f(&row); err != nil {
					return err
				}
			}
			return nil
		},
		ExternalTables: tables,
		Settings:       quick(),
	}}
	if s.service != "" {
		// Rows of one service are so few that handing them to several threads takes
		// longer than reading them.
		q.Settings = append(q.Settings, chconn.Setting("max_threads", "1"))
	}
	if err := r.base.Do(ctx, name, q); err != nil {
		return fmt.Errorf("read chunks: %w", err)
	}
	res.Release()
	return nil
}

// quick are settings for plain statements, which gain nothing of the newer analyzer:
// it takes a fifth longer. Servers that have no other may ignore that.
func quick() []ch.Setting { return []ch.Setting{{Key: "enable_analyzer", Value: "0"}} }
