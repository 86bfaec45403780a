package life

import (
	"context"
	"fmt"
	"time"

	"github.com/ClickHouse/ch-go"
	"github.com/ClickHouse/ch-go/proto"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chconn"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/schema"
)

// DB is what this package needs of a [chconn.Pool].
type DB interface {
	Do(ctx context.Context, q chconn.Query) error
}

// tables runs statements on the tables of the store, within small limits.
type tables struct {
	db DB
	// everywhere runs statements on all servers.
	everywhere DB

	options schema.Options
	timeout time.Duration
	memory  int64
}

func (t *tables) name(table string) string { return t.options.Table(table) }

func (t *tables) settings(more ...ch.Setting) []ch.Setting {
	return append([]ch.Setting{
		chconn.SettingInt("max_threads", 1),
		chconn.SettingInt("max_execution_time", int64((t.timeout+time.Second-1)/time.Second)),
		chconn.SettingInt("max_memory_usage", t.memory),
	}, more...)
}

// read runs a statement that reads.
func (t *tables) read(ctx context.Context, what string, q chconn.Query) error {
	q.Settings = append(q.Settings, t.settings(chconn.SettingInt("max_query_size", maxStatement))...)
	q.Timeout = t.timeout
	if err := t.db.Do(ctx, q); err != nil {
		return fmt.Errorf("read %s: %w", what, err)
	}
	return nil
}

// insert stores a block, unless one of this token was stored before. Blocks without
// a token are stored in any case.
func (t *tables) insert(ctx context.Context, table string, input proto.Input, token string) error {
	settings := t.settings(chconn.Setting("async_insert", "0"))
	if token != "" {
		settings = append(settings,
			chconn.Setting("insert_deduplicate", "1"),
			chconn.Setting("insert_deduplication_token", token))
	}
	err := t.db.Do(ctx, chconn.Query{
		Query: ch.Query{
			Body:     "INSERT INTO " + t.name(table) + " (" + chconn.ColumnNames(input) + ") VALUES",
			Input:    input,
			Settings: settings,
		},
		Timeout: t.timeout,
	})
	if err != nil {
		return fmt.Errorf("write to %s: %w", table, err)
	}
	return nil
}

// alter runs a command on the tables that hold the rows, on all shards.
func (t *tables) alter(ctx context.Context, table, command string) error {
	statements, err := t.options.Render("alter", `ALTER TABLE {{ table "`+table+`" }}`)
	if err != nil {
		return err
	}
	err = t.everywhere.Do(ctx, chconn.Query{
		Query: ch.Query{
			Body: statements[0] + " " + command,
			Settings: t.settings(chconn.SettingInt("max_query_size", maxStatement),
				chconn.SettingInt("max_ast_elements", 10*idsPerDelete), chconn.SettingInt("max_expanded_ast_elements", 10*idsPerDelete)),
		},
		Timeout: t.timeout,
	})
	if err != nil {
		return fmt.Errorf("alter %s: %w", table, err)
	}
	return nil
}

// maxStatement is the longest text of a statement, in bytes: names of services have
// no limit but that of what brings them.
const maxStatement = 32 << 20

// idsPerDelete keeps a statement far below a megabyte, the most that fits into
// the log of a replicated table.
const idsPerDelete = 5_000

// literal returns an expression for a string that somebody else chose. Statements
// that change tables take no parameters.
func literal(s string) string { return fmt.Sprintf("unhex('%X')", s) }

// milliseconds is a DateTime64(3) column.
func milliseconds() *proto.ColDateTime64 {
	return new(proto.ColDateTime64).WithPrecision(proto.PrecisionMilli)
}

type text = proto.ColLowCardinality[string]

func newText() *text { return proto.NewLowCardinality[string](new(proto.ColStr)) }

// number runs a query that has one row with one UInt64.
func (t *tables) number(ctx context.Context, what string, q chconn.Query) (out uint64, err error) {
	var col proto.ColUInt64
	q.Result = proto.Results{{Data: &col}}
	q.OnResult = func(context.Context, proto.Block) error {
		for _, v := range col {
			out = v
		}
		return nil
	}
	return out, t.read(ctx, what, q)
}

// literalID returns a literal of the id of a partition as the server says it:
// letters, digits and hyphens. Anything else becomes one that is not there.
func literalID(partition string) string {
	for _, c := range []byte(partition) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && c != '-' {
			return "'none'"
		}
	}
	return "'" + partition + "'"
}
