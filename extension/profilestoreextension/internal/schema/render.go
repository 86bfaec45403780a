package schema

import (
	"embed"
	"fmt"
	"io/fs"
	"regexp"
	"strconv"
	"strings"
	"text/template"
	"time"

	"github.com/ClickHouse/ch-go"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chconn"
)

//go:embed sql/*.sql
var files embed.FS

// identifier is what a database or cluster may be called. Identifiers cannot be
// bound as parameters, so nothing that would need quoting is let through.
var identifier = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,62}$`)

// Options say where the tables are and how long their rows live.
type Options struct {
	// Database holds the tables.
	Database string
	// Cluster names a cluster of the server's configuration: the tables are made
	// on all its nodes, with a Distributed table over them. Empty for a single
	// server.
	Cluster string
	// Unreplicated makes plain tables on a cluster that has no Keeper: every node
	// is a shard of its own, and statements that create or alter tables must be run
	// on each. Otherwise the tables are replicated, and ON CLUSTER does that.
	Unreplicated bool
	// Replica says which replica of every shard is asked first, counted modulo their
	// number: always the same, so that queries of one collector see what queries
	// before them saw.
	Replica uint32
	// Retention is the longest that observations are kept, at least a second, and
	// BatchRetention that of the list of batches, 0 for the same.
	Retention, BatchRetention time.Duration
	// AlertRetention is how long the history of alerts is kept, at least a second.
	AlertRetention time.Duration
}

// Validate checks that the names are plain identifiers.
func (o Options) Validate() error {
	if !identifier.MatchString(o.Database) {
		return fmt.Errorf("`database` is %q: must match %s", o.Database, identifier)
	}
	if o.Cluster != "" && !identifier.MatchString(o.Cluster) {
		return fmt.Errorf("`cluster` is %q: must match %s", o.Cluster, identifier)
	}
	if o.Retention < time.Second {
		return fmt.Errorf("`retention` is %s: must be at least 1s", o.Retention)
	}
	if o.AlertRetention < time.Second {
		return fmt.Errorf("`alert_retention` is %s: must be at least 1s", o.AlertRetention)
	}
	return nil
}

// deduplicationWindow is how many inserts per table a retry may come after:
// more than a day of one window a second.
const deduplicationWindow = 100_000

// durable makes an acknowledged insert survive a power failure, not just the end
// of the server: whoever wrote it forgets it then. It takes 3 ms per insert. What
// merges make must be on the disk, too, before it takes the place of what they
// read: on a disk that is full, writing may fail after the file was closed.
const durable = "fsync_after_insert = 1, fsync_part_directory = 1, " + durableMerges

const durableMerges = "min_rows_to_fsync_after_merge = 1"

// Table returns the quoted name of the table that is written to and read from.
func (o Options) Table(name string) string {
	return "`" + o.Database + "`.`" + name + "`"
}

// local returns the quoted name of the table that holds the rows.
func (o Options) local(name string) string {
	if o.Cluster != "" {
		name += "_local"
	}
	return o.Table(name)
}

// Replicated reports whether there may be several copies of a row, of which some
// may lag behind others.
func (o Options) Replicated() bool { return o.Cluster != "" && !o.Unreplicated }

// maxDelay is how many seconds a replica may lag behind others and still be asked.
// Rows that were replaced are deleted after twice that at the earliest.
const maxDelay = 300

// Settings are those of every statement.
func (o Options) Settings() []ch.Setting {
	if o.Cluster == "" {
		return nil
	}
	out := []ch.Setting{
		chconn.Setting("distributed_foreground_insert", "1"),
		// All of the rows or an error, whatever the profile of the user says.
		chconn.Setting("skip_unavailable_shards", "0"),
	}
	if o.Replicated() {
		out = append(out,
			chconn.Setting("load_balancing", "first_or_random"),
			chconn.SettingInt("load_balancing_first_offset", int64(o.Replica)),
			chconn.Setting("prefer_localhost_replica", "0"),
			chconn.SettingInt("max_replica_delay_for_distributed_queries", maxDelay),
			chconn.Setting("fallback_to_stale_replicas_for_distributed_queries", "0"),
		)
	}
	return out
}

func (o Options) onCluster() string {
	if !o.Replicated() {
		return ""
	}
	return " ON CLUSTER `" + o.Cluster + "`"
}

func (o Options) engine(name string, args ...string) string {
	if o.Replicated() {
		// The server expands the macros. A path with {uuid} would keep a replica that
		// is added later apart from the others: it makes the table with another one.
		args = append([]string{"'/clickhouse/tables/{shard}/{database}/{table}'", "'{replica}'"}, args...)
		name = "Replicated" + name
	}
	return name + "(" + strings.Join(args, ", ") + ")"
}

func (o Options) dedup() string {
	n := strconv.Itoa(deduplicationWindow)
	if o.Replicated() {
		return "replicated_deduplication_window = " + n + ", replicated_deduplication_window_seconds = 604800"
	}
	return "non_replicated_deduplication_window = " + n
}

func (o Options) distributed(name, key string) string {
	if o.Cluster == "" {
		return ""
	}
	return fmt.Sprintf("CREATE TABLE IF NOT EXISTS %s%s AS %s\nENGINE = Distributed(`%s`, `%s`, `%s_local`, %s);",
		o.Table(name), o.onCluster(), o.local(name), o.Cluster, o.Database, name, key)
}

// Migration is one numbered step.
type Migration struct {
	Version    uint32
	Name       string
	Statements []string
}

// Migrations renders all steps in order.
func (o Options) Migrations() ([]Migration, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	entries, err := fs.ReadDir(files, "sql")
	if err != nil {
		return nil, fmt.Errorf("read migrations: %w", err)
	}
	out := make([]Migration, 0, len(entries))
	for i, e := range entries {
		number, name, _ := strings.Cut(strings.TrimSuffix(e.Name(), ".sql"), "_")
		version, err := strconv.ParseUint(number, 10, 32)
		if err != nil || int(version) != i+1 {
			return nil, fmt.Errorf("read migration %s: number must be %04d", e.Name(), i+1)
		}
		text, err := o.render(e.Name())
		if err != nil {
			return nil, err
		}
		out = append(out, Migration{Version: uint32(version), Name: name, Statements: split(text)})
	}
	return out, nil
}

func (o Options) render(file string) (string, error) {
	text, err := files.ReadFile("sql/" + file)
	if err != nil {
		return "", fmt.Errorf("read migration %s: %w", file, err)
	}
	return o.execute(file, string(text))
}

// Render renders a script that is written as those of the migrations are.
func (o Options) Render(name, script string) ([]string, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	text, err := o.execute(name, script)
	if err != nil {
		return nil, err
	}
	return split(text), nil
}

func (o Options) execute(name, script string) (string, error) {
	funcs := template.FuncMap{
		"table":       func(name string) string { return o.local(name) + o.onCluster() },
		"view":        func(name string) string { return o.Table(name) + o.onCluster() },
		"read":        o.Table,
		"engine":      o.engine,
		"ttl":         o.ttl,
		"dedup":       o.dedup,
		"distributed": o.distributed,
		"cluster":     func() bool { return o.Cluster != "" },
		"durable":     func() string { return durable },
		"merges":      func() string { return durableMerges },
	}
	t, err := template.New(name).Funcs(funcs).Parse(script)
	if err != nil {
		return "", fmt.Errorf("parse script %s: %w", name, err)
	}
	var b strings.Builder
	if err := t.Execute(&b, nil); err != nil {
		return "", fmt.Errorf("render script %s: %w", name, err)
	}
	return b.String(), nil
}

// split cuts a script at semicolons that end a line; none of ours has one
// inside a literal.
func split(script string) []string {
	var out []string
	for _, s := range strings.Split(script, ";\n") {
		if s = strings.TrimSpace(withoutComments(s)); s != "" {
			out = append(out, s)
		}
	}
	return out
}

func withoutComments(s string) string {
	var b strings.Builder
	for line := range strings.Lines(s) {
		if !strings.HasPrefix(line, "--") {
			b.WriteString(line)
		}
	}
	return b.String()
}
