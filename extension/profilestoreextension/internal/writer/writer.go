package writer

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/ClickHouse/ch-go"
	"github.com/ClickHouse/ch-go/proto"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chconn"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/layout"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/schema"
	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// Writer writes over a pool. It is safe for concurrent use.
type Writer struct {
	pool   *chconn.Pool
	tables schema.Options
	known  *Known
	onRows func(ctx context.Context, table string, rows int, took time.Duration)

	// epoch counts the calls of Forget.
	epoch atomic.Uint64
}

// Options configure a [Writer].
type Options struct {
	// Tables say where to write.
	Tables schema.Options
	// KnownEntries bounds the cache of dictionary rows known to be stored.
	KnownEntries int
	// OnRows is told about every insert that was stored.
	OnRows func(ctx context.Context, table string, rows int, took time.Duration)
}

// New returns a writer.
func New(pool *chconn.Pool, o Options) *Writer {
	return &Writer{
		pool: pool, tables: o.Tables, onRows: o.OnRows,
		known: NewKnown(o.KnownEntries, int64(o.Tables.Retention/time.Second/4)),
	}
}

// Forget empties the cache of what is stored. It must be called before tables
// that may have lost rows are used again. A Write that relied on the cache
// before fails, to be repeated, rather than store observations of stacks that
// are not there.
func (w *Writer) Forget() {
	w.epoch.Add(1)
	w.known.Clear()
}

// KnownEntries returns the number of dictionary rows known to be stored.
func (w *Writer) KnownEntries() int { return w.known.Len() }

// Validate checks what the tables cannot hold.
func Validate(win *profilestore.Window) error {
	for i, g := range win.Groups.Groups {
		for _, t := range [...]struct {
			name string
			ns   int64
		}{{"start", g.Start}, {"end", g.End}} {
			if t.ns < 0 || t.ns >= layout.MaxTime {
				return fmt.Errorf("%w: group[%d].%s is %d ns; must be at least 0 and less than %d",
					profile.ErrInvalid, i, t.name, t.ns, layout.MaxTime)
			}
		}
		if len(g.Types) == 0 || len(g.Types) > profile.MaxTypes {
			return fmt.Errorf("%w: group[%d] has %d types; must be 1 to %d", profile.ErrInvalid, i, len(g.Types), profile.MaxTypes)
		}
	}
	for i := range win.Groups.Batches {
		if t := win.Groups.Batches[i].ReceivedAt; t < 0 || t >= layout.MaxTime {
			return fmt.Errorf("%w: batch[%d].received_at is %d ns; must be at least 0 and less than %d",
				profile.ErrInvalid, i, t, layout.MaxTime)
		}
	}
	return nil
}

// Insert sends one block. token is empty for rows that may be there twice.
func (w *Writer) Insert(ctx context.Context, table string, input proto.Input, token string) error {
	rows := input[0].Data.Rows()
	if rows == 0 {
		return nil
	}
	begin := time.Now()
	settings := []ch.Setting{
		chconn.Setting("async_insert", "0"),
		// A window may span many days, when profiles are loaded later.
		chconn.Setting("throw_on_max_partitions_per_insert_block", "0"),
		// Rows with equal keys have been summed here.
		chconn.Setting("optimize_on_insert", "0"),
	}
	if token != "" {
		settings = append(settings,
			chconn.Setting("insert_deduplicate", "1"),
			chconn.Setting("insert_deduplication_token", token))
	}
	err := w.pool.Do(ctx, chconn.Query{Query: ch.Query{
		Body:     "INSERT INTO " + w.tables.Table(table) + " (" + chconn.ColumnNames(input) + ") VALUES",
		Input:    input,
		Settings: settings,
	}})
	if err != nil {
		return fmt.Errorf("write %d rows to %s: %w", rows, table, err)
	}
	if w.onRows != nil {
		w.onRows(ctx, table, rows, time.Since(begin))
	}
	return nil
}
