package compact

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/ClickHouse/ch-go"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chconn"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/chunkrow"
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
// covers is replaced, and what has the number of one of level 2.
//
// losers are rows of level 2 that lost their number to another. One that lost it to a
// row of level 1 must go before that: readers would take it for one that counts. What a
// row of package life replaced is deleted by that package.
func (s *snapshot) replaced(delay time.Duration) (out [2][]uint64, losers []*stored, due int64) {
	since := make(map[uint64]int64)
	type version struct {
		id      uint64
		written int64
	}
	erased := make(map[version]bool)                                      // what package life replaced, if it is there
	closed, minutes := make(map[uint64]*stored), make(map[uint64]*stored) // by id: the first
	for i, r := range s.rows {
		switch r.Level {
		case chunkrow.ClosedHour:
			closed[r.ID] = first(closed[r.ID], r)
			erased[version{r.ID, r.Written + 1}] = true
		case chunkrow.Minutes:
			minutes[r.ID] = first(minutes[r.ID], r)
		}
		if s.visible[i] {
			for _, id := range r.Covers {
				since[id] = r.Written
			}
		}
	}
	due = never
	for i, r := range s.rows {
		at, ok := since[r.ID]
		twin := closed[r.ID]
		switch {
		case s.visible[i]:
			continue
		case r.Level == chunkrow.ClosedHour:
			won, at := minutes[r.ID], r.Written+delay.Milliseconds()
			switch {
			case won != nil && first(won, r) == won:
				losers = append(losers, r)
			case erased[version{r.ID, r.Written}]:
			case s.now < at:
				due = min(due, at)
			default:
				losers = append(losers, r)
			}
			continue
		case r.Level == chunkrow.Minutes && twin != nil && first(minutes[r.ID], twin) != twin:
			due = min(due, s.now+delay.Milliseconds()/10) // until the twin is gone
			continue
		case r.Level == chunkrow.Minutes && twin != nil:
			at, ok = twin.Written, true
		}
		if !ok {
			continue
		}
		if at += delay.Milliseconds(); s.now < at {
			due = min(due, at)
			continue
		}
		out[r.Level] = append(out[r.Level], r.ID)
	}
	return out, losers, due
}

// first returns which of two rows of one id counts. a may be nil.
func first(a, b *stored) *stored {
	if a == nil || chunkrow.Compare(&b.Header, &a.Header) < 0 {
		return b
	}
	return a
}

// clean deletes replaced rows, where that takes no more than it frees: a mutation
// writes the other rows of their parts again, and nothing at all where all rows
// go, as they do soon after the end of an hour.
func (c *Compactor) clean(ctx context.Context, now int64) error {
	if err := c.deleteLosers(ctx); err != nil {
		return err
	}
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

// deleteLosers deletes rows of level 2 that do not count because another has their
// number, those of an hour by one statement. They are named one by one, because the
// other has the same id.
func (c *Compactor) deleteLosers(ctx context.Context) error {
	hours := make(map[int64][]*stored)
	for _, k := range c.known {
		if len(k.losers) > 0 {
			hours[k.Hour] = append(hours[k.Hour], k.losers...)
		}
	}
	for hour, losers := range hours {
		monday := time.Unix(hour, 0).UTC().Truncate(24 * time.Hour)
		monday = monday.AddDate(0, 0, -(int(monday.Weekday())+6)%7)
		for part := range slices.Chunk(losers, losersPerDelete) {
			where := fmt.Appendf(nil, "level = %d AND (id, toUInt64(bitShiftRight(nonce, 64)), toUInt64(bitAnd(nonce, toUInt128(18446744073709551615)))) IN (",
				chunkrow.ClosedHour)
			for i, r := range part {
				if i > 0 {
					where = append(where, ',')
				}
				where = fmt.Appendf(where, "(%d,%d,%d)", r.ID, r.Nonce.High, r.Nonce.Low)
			}
			if err := c.deleteRows(ctx, partition{chunkrow.ClosedHour, monday.Unix()}, hour, string(append(where, ')'))); err != nil {
				return err
			}
		}
	}
	for _, k := range c.known {
		k.losers = nil // if they are still there when the key is looked at, once more
	}
	return nil
}

// losersPerDelete keeps a statement far below a megabyte, as idsPerDelete does.
const losersPerDelete = 5_000

// idsPerDelete keeps a statement far below a megabyte, the most that fits into
// the log of a replicated table.
const idsPerDelete = 20_000

// delete deletes rows by their ids.
func (c *Compactor) delete(ctx context.Context, p partition, ids []uint64) error {
	for part := range slices.Chunk(ids, idsPerDelete) {
		where := fmt.Appendf(nil, "level = %d AND id IN (", p.level)
		for i, id := range part {
			if i > 0 {
				where = append(where, ',')
			}
			where = strconv.AppendUint(where, id, 10)
		}
		if err := c.deleteRows(ctx, p, p.hour, string(append(where, ')'))); err != nil {
			return err
		}
		if c.opts.OnDeleted != nil {
			c.opts.OnDeleted(ctx, len(part))
		}
	}
	return nil
}

// deleteRows deletes rows of an hour. The server does it in the background; those
// of several statements at once.
func (c *Compactor) deleteRows(ctx context.Context, p partition, hour int64, where string) error {
	// The rows are in the local tables of all shards.
	statements, err := c.opts.Tables.Render("delete", `ALTER TABLE {{ table "`+chunktable.Name+`" }}`)
	if err != nil {
		return err
	}
	err = c.opts.Everywhere.Do(ctx, chconn.Query{
		Query: ch.Query{
			Body: fmt.Sprintf("%s DELETE IN PARTITION %s WHERE hour = toDateTime(%d, 'UTC') AND %s", statements[0], p.name(), hour, where),
			Settings: append(c.settings(), chconn.SettingInt("max_query_size", 1<<20),
				chconn.SettingInt("max_ast_elements", 10*idsPerDelete), chconn.SettingInt("max_expanded_ast_elements", 10*idsPerDelete)),
		},
		Timeout: c.opts.Timeout,
	})
	if err != nil {
		return fmt.Errorf("delete replaced rows of %s: %w", chunktable.Name, err)
	}
	return nil
}
