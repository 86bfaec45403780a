package compact

import (
	"context"
	"fmt"
	"time"

	"github.com/ClickHouse/ch-go"
	"github.com/ClickHouse/ch-go/proto"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chconn"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/chunkrow"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/chunktable"
)

// candidate is a key with rows of level 0 or 1, replaced or not.
type candidate struct {
	chunkrow.Key
	levels         [2]uint64 // numbers of rows
	oldest, newest int64     // Unix milliseconds of the server
}

// backlog sums candidates at a time in Unix milliseconds.
func backlog(all []candidate, now int64) (b Backlog) {
	for i := range all {
		b.Rows += all[i].levels[0] + all[i].levels[1]
		b.Oldest = max(b.Oldest, time.Duration(now-all[i].oldest)*time.Millisecond)
	}
	return b
}

// candidates lists the keys that may need something, by hour, and returns the time
// of the server in Unix milliseconds.
func (c *Compactor) candidates(ctx context.Context) (out []candidate, now int64, err error) {
	keys := chunkrow.NewKeyColumns()
	var oldest, newest, clock proto.ColInt64
	var level0, level1 proto.ColUInt64
	err = c.query(ctx, chunktable.Name, "candidates", chconn.Query{Query: ch.Query{
		Body: "SELECT " + keys.Select() + ", countIf(level = 0) AS n0, countIf(level = 1) AS n1," +
			" toUnixTimestamp64Milli(min(written)) AS oldest, toUnixTimestamp64Milli(max(written)) AS newest, toUnixTimestamp64Milli(now64(3)) AS clock FROM " + c.table +
			" WHERE level < 2" + c.ofPart() + " GROUP BY " + chunkrow.KeyNames +
			" ORDER BY at, tenant, service, kind, types, period_type, period",
		Result: keys.Results(
			proto.ResultColumn{Name: "n0", Data: &level0},
			proto.ResultColumn{Name: "n1", Data: &level1},
			proto.ResultColumn{Name: "oldest", Data: &oldest},
			proto.ResultColumn{Name: "newest", Data: &newest},
			proto.ResultColumn{Name: "clock", Data: &clock}),
		OnResult: func(context.Context, proto.Block) error {
			for i := range keys.Rows() {
				out = append(out, candidate{
					Key: keys.Key(i), levels: [2]uint64{level0[i], level1[i]}, oldest: oldest[i], newest: newest[i],
				})
				now = clock[i]
			}
			return nil
		},
	}})
	return out, now, err
}

// ofPart is the condition for the services of the part. It is made as that of the
// shards is, so that where these are equal each part is on one of them.
func (c *Compactor) ofPart() string {
	if c.opts.Parts == 1 {
		return ""
	}
	return fmt.Sprintf(" AND cityHash64(tenant, service) %% %d = %d", c.opts.Parts, c.opts.Part)
}

// snapshot is what one SELECT found of a key.
type snapshot struct {
	rows    []*stored
	visible []bool
	now     int64 // Unix milliseconds of the server
	taken   time.Time
}

// snapshots reads all rows of keys without their arrays.
func (c *Compactor) snapshots(ctx context.Context, all []*known) ([]*snapshot, error) {
	taken := time.Now()
	out := make([]*snapshot, len(all))
	keys := make([]chunkrow.Key, len(all))
	places := make(map[chunkrow.Key]*snapshot, len(all))
	for i, k := range all {
		out[i], keys[i] = &snapshot{taken: taken}, k.Key
		places[k.Key] = out[i]
	}
	result := chunkrow.NewResult(chunkrow.Covers)
	var bytes, incidences, clock proto.ColInt64
	q := chconn.Query{Query: ch.Query{
		Result: append(result.Results(),
			proto.ResultColumn{Name: "bytes", Data: &bytes},
			proto.ResultColumn{Name: "incidences", Data: &incidences},
			proto.ResultColumn{Name: "clock", Data: &clock}),
		OnResult: func(context.Context, proto.Block) error {
			for i := range result.Rows() {
				var row chunkrow.Row
				result.Row(i, &row)
				if s := places[row.Key]; s != nil {
					s.rows = append(s.rows, &stored{Header: row.Clone().Header, bytes: bytes[i], incidences: incidences[i]})
					s.now = clock[i]
				}
			}
			return nil
		},
	}}
	q.Body = "SELECT " + result.Columns() + ", " + sizeColumns + ", toUnixTimestamp64Milli(now64(3)) AS clock FROM " + c.table +
		" WHERE " + chunkrow.Conditions(keys, &q.Params)
	if err := c.query(ctx, chunktable.Name, "headers", q); err != nil {
		return nil, err
	}
	for _, s := range out {
		s.visible = chunkrow.Visible(s.rows)
	}
	return out, nil
}

// sizeColumns are how large a row is in memory, about, and its number of
// incidences. The streams are not read for it where their sizes are stored.
const sizeColumns = "toInt64(40 * profiles_n + 80 * entries_n + length(head) + length(positions) + length(small)" +
	" + length(v0) + length(v1) + length(v2) + length(v3)" +
	" + length(count_stream) + length(minimum_stream) + length(maximum_stream) + length(exemplars)) AS bytes," +
	" toInt64(arraySum(entry_profiles)) AS incidences"

// complete reports whether all rows of levels 1 and 2 are known that were stored
// before the last of them: a replica may have got a row and not yet the one before. The
// next number must not be taken without knowing what was replaced by these. A
// number that is missing for longer than replicas may lag is that of a row whose
// lifetime was over.
func (s *snapshot) complete(k *chunkrow.Key, lag time.Duration) bool {
	there, last := make(map[uint64]bool), uint32(0)
	for _, r := range s.rows {
		there[r.ID] = true
		for _, id := range r.Covers {
			there[id] = true
		}
		if r.Level > chunkrow.Written && s.now-r.Written < lag.Milliseconds() {
			last = max(last, r.Seq)
		}
	}
	for seq := uint32(1); seq < last; seq++ {
		if !there[chunkrow.CompactedRowID(k, seq)] {
			return false
		}
	}
	return true
}

// next returns the number of the next row of level 1 or 2: one that no row had
// before, also none that has been replaced and deleted since, and at least least.
func (s *snapshot) next(k *chunkrow.Key, least uint32) uint32 {
	seq := max(1, least)
	covered := make(map[uint64]bool)
	for _, r := range s.rows {
		if r.Level > chunkrow.Written {
			seq = max(seq, r.Seq+1)
		}
		for _, id := range r.Covers {
			covered[id] = true
		}
	}
	for covered[chunkrow.CompactedRowID(k, seq)] {
		seq++
	}
	return seq
}

// query runs a statement that reads.
func (c *Compactor) query(ctx context.Context, table, what string, q chconn.Query) error {
	q.Settings = append(q.Settings, c.settings()...)
	q.Timeout = c.opts.Timeout
	if err := c.db.Do(ctx, q); err != nil {
		return fmt.Errorf("read %s of %s: %w", what, table, err)
	}
	return nil
}

// settings keep what is done in the background small.
func (c *Compactor) settings() []ch.Setting {
	return []ch.Setting{
		chconn.SettingInt("max_threads", 1),
		chconn.SettingInt("max_execution_time", int64((c.opts.Timeout+time.Second-1)/time.Second)),
		chconn.SettingInt("max_memory_usage", c.opts.MaxMemoryUsage),
	}
}
