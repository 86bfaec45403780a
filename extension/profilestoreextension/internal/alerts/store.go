package alerts

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/ClickHouse/ch-go"
	"github.com/ClickHouse/ch-go/proto"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chconn"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/schema"
	"github.com/aperture-collector/aperture-collector/internal/alert"
	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// What is read is bounded by these; more is [profilestore.ErrLimit].
const (
	maxRows      = 100_000
	maxReplicas  = 10_000
	maxReadBytes = 512 << 20
	// maxEvents bounds one answer of History and Undelivered.
	maxEvents = 1000
)

// maxEventBytes bounds the texts of one event: those of its rule, and what was
// found, with a link.
const maxEventBytes = 128 << 10

// grace is how much longer than its time limit a statement is waited for.
const grace = 2 * time.Second

// Options configure a [Store].
type Options struct {
	// Tables say where the rows are.
	Tables schema.Options
	// MaxExecutionTime and MaxMemoryUsage (bytes) bound every statement.
	MaxExecutionTime time.Duration
	MaxMemoryUsage   int64
	// Lagging says that a row may be stored and not yet be seen, because another
	// replica answers.
	Lagging bool
	// OnQuery is told about every query that ended, OnRows about every insert.
	OnQuery func(ctx context.Context, name string, took time.Duration, err error)
	OnRows  func(ctx context.Context, table string, rows int, took time.Duration)
}

// Store implements [alert.Store] over a pool. It is safe for concurrent use.
type Store struct {
	pool *chconn.Pool
	opts Options
	// numbering holds a token while a number is taken, so that the goroutines of
	// one process do not compete for it.
	numbering chan struct{}

	mu sync.Mutex
	// kept is when the history of a dialect was last completed.
	kept map[string]time.Time
}

var _ alert.Store = (*Store)(nil)

// New returns a store.
func New(pool *chconn.Pool, o Options) *Store {
	return &Store{pool: pool, opts: o, numbering: make(chan struct{}, 1), kept: map[string]time.Time{}}
}

// read runs one query within the limits.
func (s *Store) read(ctx context.Context, table, columns string, q chconn.Query) error {
	begin := time.Now()
	q.Timeout = s.opts.MaxExecutionTime + grace
	q.Settings = append(s.settings(),
		chconn.SettingInt("max_result_rows", maxRows),
		chconn.SettingInt("max_result_bytes", maxReadBytes),
		chconn.Setting("result_overflow_mode", "throw"))
	err := s.pool.Do(ctx, q)
	s.opts.OnQuery(ctx, table, time.Since(begin), err)
	if err != nil {
		return fmt.Errorf("read %s of %s: %w", columns, table, err)
	}
	return nil
}

func (s *Store) settings() []ch.Setting {
	return []ch.Setting{
		chconn.SettingInt("max_execution_time", int64((s.opts.MaxExecutionTime+time.Second-1)/time.Second)),
		chconn.SettingInt("max_memory_usage", s.opts.MaxMemoryUsage),
		chconn.Setting("load_balancing", "in_order"),
	}
}

// insert stores one block. token is empty for rows that may be there twice.
func (s *Store) insert(ctx context.Context, table string, input proto.Input, token string) error {
	begin := time.Now()
	settings := append(s.settings(), chconn.Setting("async_insert", "0"))
	if token == "" {
		settings = append(settings, chconn.Setting("insert_deduplicate", "0"))
	} else {
		settings = append(settings,
			chconn.Setting("insert_deduplicate", "1"),
			chconn.Setting("insert_deduplication_token", token))
	}
	rows := input[0].Data.Rows()
	err := s.pool.Do(ctx, chconn.Query{
		Query: ch.Query{
			Body:     "INSERT INTO " + s.opts.Tables.Table(table) + " (" + chconn.ColumnNames(input) + ") VALUES",
			Input:    input,
			Settings: settings,
		},
		Timeout: s.opts.MaxExecutionTime + grace,
	})
	if err != nil {
		return fmt.Errorf("write %d rows to %s: %w", rows, table, err)
	}
	s.opts.OnRows(ctx, table, rows, time.Since(begin))
	return nil
}

// table returns the quoted name of a table.
func (s *Store) table(name string) string { return s.opts.Tables.Table(name) }

// tries is how often a statement is sent that fails because ClickHouse is away,
// and firstPause the pause after the first, which doubles.
const (
	tries      = 4
	firstPause = 50 * time.Millisecond
)

// again runs f until it does not fail with [profilestore.ErrUnavailable], a few
// times. f must do no harm if it is done twice.
func again(ctx context.Context, f func() error) error {
	wait := firstPause
	for i := 1; ; i++ {
		err := f()
		if err == nil || i == tries || ctx.Err() != nil || !errors.Is(err, profilestore.ErrUnavailable) {
			return err
		}
		chconn.Pause(ctx, wait)
		wait *= 2
	}
}

// checkTime says whether the tables can hold t. The zero time is stored as 1970.
func checkTime(field string, t time.Time) error {
	if t.IsZero() || t.Unix() > 0 && t.Unix() < math.MaxInt64/int64(time.Second) {
		return nil
	}
	return fmt.Errorf("%w: %s is %s; must be after 1970 and before 2262", profile.ErrInvalid, field, t.Format(time.RFC3339))
}

// checkSize says whether the texts of a row are small enough.
func checkSize(what string, n int, maps ...map[string]string) error {
	for _, m := range maps {
		for k, v := range m {
			n += len(k) + len(v)
		}
	}
	if n > maxEventBytes {
		return fmt.Errorf("%w: %s has %d bytes; the limit is %d", profile.ErrInvalid, what, n, maxEventBytes)
	}
	return nil
}
