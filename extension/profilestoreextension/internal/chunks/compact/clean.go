package compact

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/ClickHouse/ch-go"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chconn"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/chunktable"
)

// partition is one of rows that may be replaced: they are apart by hour.
type partition struct {
	level uint8
	hour  int64
}

// name returns the expression for IN PARTITION.
func (p partition) name() string {
	return fmt.Sprintf("(%d, '%s')", p.level, time.Unix(p.hour, 0).UTC().Format(time.DateTime))
}

// asked says that rows of a partition were asked to be deleted: when, and how many
// were there.
type asked struct {
	at   time.Time
	rows int
}

// replaced returns the ids of rows of levels 0 and 1 that have been replaced for
// at least so long, and when there will be more. Only what a row that counts
// covers is replaced.
func (s *snapshot) replaced(delay time.Duration) (out [2][]uint64, due int64) {
	since := make(map[uint64]int64)
	for i, r := range s.rows {
		if !s.visible[i] {
			continue
		}
		for _, id := range r.Covers {
			since[id] = r.Written
		}
	}
	due = never
	for i, r := range s.rows {
		at, ok := since[r.ID]
		if !ok || s.visible[i] || int(r.Level) >= len(out) {
			continue
		}
		if at += delay.Milliseconds(); s.now < at {
			due = min(due, at)
			continue
		}
		out[r.Level] = append(out[r.Level], r.ID)
	}
	return out, due
}

// clean deletes replaced rows, where that takes no more than it frees: a mutation
// writes the other rows of their parts again, and nothing at all where all rows
// go, as they do soon after the end of an hour.
func (c *Compactor) clean(ctx context.Context, now int64) error {
	rows := make(map[partition]int)
	gone := make(map[partition][]uint64)
	for _, k := range c.known {
		for level, ids := range k.gone {
			p := partition{uint8(level), k.Hour}
			gone[p] = append(gone[p], ids...)
			rows[p] += int(k.levels[level])
		}
	}
	for p := range c.asked {
		if rows[p] == 0 {
			delete(c.asked, p)
		}
	}
	for p, ids := range gone {
		slices.Sort(ids)
		ids = slices.Compact(ids) // copies of a row have one id
		if len(ids) == 0 || 2*len(ids) < rows[p] {
			continue
		}
		// It is done in the background, and takes its time.
		if a, ok := c.asked[p]; ok && a.rows == rows[p] && time.Since(a.at) < c.opts.Rules.DeleteDelay {
			continue
		}
		if err := c.delete(ctx, p, ids); err != nil {
			return err
		}
		c.asked[p] = asked{time.Now(), rows[p]}
	}
	return nil
}

// idsPerDelete keeps a statement far below a megabyte, the most that fits into
// the log of a replicated table.
const idsPerDelete = 20_000

// delete deletes rows by their ids. The server does it in the background; those
// of several statements at once.
func (c *Compactor) delete(ctx context.Context, p partition, ids []uint64) error {
	// The rows are in the local tables of all shards.
	statements, err := c.opts.Tables.Render("delete", `ALTER TABLE {{ table "`+chunktable.Name+`" }}`)
	if err != nil {
		return err
	}
	for part := range slices.Chunk(ids, idsPerDelete) {
		body := fmt.Appendf(nil, "%s DELETE IN PARTITION %s WHERE level = %d AND hour = toDateTime(%d, 'UTC') AND id IN (",
			statements[0], p.name(), p.level, p.hour)
		for i, id := range part {
			if i > 0 {
				body = append(body, ',')
			}
			body = strconv.AppendUint(body, id, 10)
		}
		err := c.opts.Everywhere.Do(ctx, chconn.Query{
			Query: ch.Query{
				Body: string(append(body, ')')),
				Settings: append(c.settings(), chconn.SettingInt("max_query_size", 1<<20),
					chconn.SettingInt("max_ast_elements", 10*idsPerDelete), chconn.SettingInt("max_expanded_ast_elements", 10*idsPerDelete)),
			},
			Timeout: c.opts.Timeout,
		})
		if err != nil {
			return fmt.Errorf("delete %d replaced rows of %s: %w", len(part), chunktable.Name, err)
		}
		if c.opts.OnDeleted != nil {
			c.opts.OnDeleted(ctx, len(part))
		}
	}
	return nil
}
