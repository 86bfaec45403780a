package writer

import (
	"context"
	"fmt"
	"sync"
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

// Writer implements [profilestore.Writer] over a pool. It is safe for
// concurrent use.
type Writer struct {
	pool   *chconn.Pool
	tables schema.Options
	known  *Known
	onRows func(ctx context.Context, table string, rows int, took time.Duration)

	buffers sync.Pool
	// epoch counts the calls of Forget.
	epoch atomic.Uint64
}

var _ profilestore.Writer = (*Writer)(nil)

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
	w := &Writer{
		pool: pool, tables: o.Tables, onRows: o.OnRows,
		known: NewKnown(o.KnownEntries, int64(o.Tables.Retention/time.Second/4)),
	}
	w.buffers.New = func() any { return newBuffer(w.known) }
	return w
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

// buffer holds the columns of one Write.
type buffer struct {
	profiles   *profileRows
	totals     *totals
	stackHours *stackHourRows
	kindHours  *kindHourRows
	batches    *batchRows
	dict       *dictionaries
	types      map[typesKey]string
	features   []features // by group
}

type typesKey struct {
	n     int
	types [profile.MaxTypes]profile.ValueType
}

func newBuffer(known *Known) *buffer {
	return &buffer{
		profiles: newProfileRows(), totals: newTotals(), stackHours: newStackHourRows(),
		kindHours: newKindHourRows(), batches: newBatchRows(), dict: newDictionaries(known),
		types: make(map[typesKey]string),
	}
}

func (b *buffer) reset(now int64) {
	resetAll(b.profiles.input)
	resetAll(b.stackHours.input)
	resetAll(b.kindHours.input)
	resetAll(b.batches.input)
	b.totals.reset()
	b.dict.reset(now)
	clear(b.types)
}

func (b *buffer) typesOf(g *profile.Group) string {
	key := typesKey{n: len(g.Types)}
	copy(key.types[:], g.Types)
	s, ok := b.types[key]
	if !ok {
		s = layout.EncodeTypes(g.Types)
		b.types[key] = s
	}
	return s
}

// Write implements [profilestore.Writer].
func (w *Writer) Write(ctx context.Context, win *profilestore.Window) error {
	if err := validate(win); err != nil {
		return err
	}
	epoch := w.epoch.Load()
	now := time.Now().Unix()
	b := w.buffers.Get().(*buffer)
	defer w.buffers.Put(b)
	b.reset(now)
	w.fill(b, win.Groups, now)
	if err := w.writeDictionaries(ctx, b.dict, epoch, now); err != nil {
		return err
	}
	for _, t := range []struct {
		name  string
		input proto.Input
	}{
		{"profiles", b.profiles.input},
		{"stack_hours", b.stackHours.input},
		{"batches", b.batches.input},
		// The last, because its numbers of events say what is there: who has seen
		// them finds everything else, too.
		{"kind_hours", b.kindHours.input},
	} {
		if err := w.insert(ctx, t.name, t.input, win.Token.String()+"-"+t.name); err != nil {
			return err
		}
	}
	return nil
}

// fill turns groups into columns.
func (w *Writer) fill(b *buffer, groups *profile.Groups, now int64) {
	stored := StoredUntil(now)
	d := groups.Dict
	b.features = b.features[:0]
	for _, g := range groups.Groups {
		b.features = append(b.features, featuresOf(g, d))
	}
	w.known.mu.Lock()
	for i, g := range groups.Groups {
		if len(g.Entries) == 0 {
			continue
		}
		b.dict.addSeries(g.Series)
		b.totals.add(g, d, &b.features[i], b.typesOf(g), func(stack int32) { b.dict.addStack(g.Series, d, stack) })
		last := int32(0)
		for i := range g.Entries {
			if a := g.Entries[i].Attrs; a != last {
				b.dict.addSet(g.Series.Tenant, &d.Attributes[a])
				last = a
			}
		}
	}
	w.known.mu.Unlock()
	for i, g := range groups.Groups {
		if len(g.Entries) > 0 {
			b.profiles.add(g, d, &b.features[i], b.typesOf(g), stored)
		}
	}
	b.stackHours.fill(b.totals, d, stored)
	b.kindHours.fill(b.totals, stored)
	b.batches.fill(groups.Batches, stored)
}

// validate checks what the tables cannot hold.
func validate(win *profilestore.Window) error {
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

// insert sends one block. token is empty for rows that may be there twice.
func (w *Writer) insert(ctx context.Context, table string, input proto.Input, token string) error {
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
	if w.tables.Cluster != "" {
		settings = append(settings, chconn.Setting("distributed_foreground_insert", "1"))
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
