package chunkreader

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ClickHouse/ch-go"
	"github.com/ClickHouse/ch-go/proto"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/chunkrow"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// visible returns the rows that count, see [chunkrow.Visible].
func visible(rows []*chunkrow.Row) []*chunkrow.Row {
	out := make([]*chunkrow.Row, 0, len(rows))
	for i, ok := range chunkrow.Visible(rows) {
		if ok {
			out = append(out, rows[i])
		}
	}
	return out
}

// headers reads those of all rows of the scan, in one SELECT, and returns the ones
// that count.
func (g *gathering) headers(ctx context.Context) ([]*chunkrow.Row, error) {
	var rows []*chunkrow.Row
	err := g.selectRows(ctx, "headers", g.scan, chunkrow.Covers|chunkrow.Order|chunkrow.Rest, g.everything(), func(row *chunkrow.Row) error {
		if int64(len(rows)) >= g.opts.MaxRows {
			return fmt.Errorf("%w: more than %d rows of chunks", profilestore.ErrLimit, g.opts.MaxRows)
		}
		rows = append(rows, row.Clone())
		return nil
	})
	if err != nil {
		return nil, err
	}
	g.twice = twice(rows)
	return visible(rows), nil
}

// twice returns the ids that several rows have. An insert that was repeated after
// its token had been forgotten may have brought rows again that differ in nothing.
func twice(rows []*chunkrow.Row) map[uint64]struct{} {
	seen, out := make(map[uint64]struct{}, len(rows)), make(map[uint64]struct{})
	for _, row := range rows {
		if _, ok := seen[row.ID]; ok {
			out[row.ID] = struct{}{}
		}
		seen[row.ID] = struct{}{}
	}
	return out
}

// everything is the condition for all rows of the scan.
func (s *scan) everything() string {
	var parts []string
	if !s.whole.empty() {
		parts = append(parts, "("+s.of(s.whole)+")")
	}
	for _, h := range s.cut {
		parts = append(parts, "("+s.ofCut(h)+")")
	}
	return strings.Join(parts, " OR ")
}

// idTable is a temporary table of the rows of chunks that a query is to read.
func idTable(rows []*chunkrow.Row) ch.ExternalTable {
	id := make(proto.ColUInt64, len(rows))
	nonce := make(proto.ColUInt128, len(rows))
	for i, row := range rows {
		id[i], nonce[i] = row.ID, row.Nonce
	}
	return ch.ExternalTable{Name: "wanted", Data: proto.Input{{Name: "id", Data: id}, {Name: "nonce", Data: nonce}}}
}

const isWanted = " AND (id, nonce) IN (SELECT id, nonce FROM wanted)"

// read reads the rows with these headers into the sink.
func (g *gathering) read(ctx context.Context, rows []*chunkrow.Row) error {
	var whole, cut []*chunkrow.Row
	for _, row := range rows {
		if !g.known.hasService(row.Service) {
			continue
		}
		if g.labels == "" && (row.Hour >= g.scan.whole.first*3600 && row.Hour < g.scan.whole.end*3600) {
			whole = append(whole, row)
		} else {
			cut = append(cut, row)
		}
	}
	if a, ok := g.sink.(aggregator); ok && len(whole) > 0 {
		var err error
		if whole, err = a.aggregate(ctx, g, whole); err != nil {
			return err
		}
	}
	if err := g.readThese(ctx, whole, []hours{g.scan.whole}, g.of, g.columns.whole, true); err != nil {
		return err
	}
	return g.readThese(ctx, cut, g.scan.cut, g.ofCut, g.columns.cut, false)
}

// readThese reads rows of some hours into the sink. Those that are to be spelled out
// are read after their dictionaries, a batch at a time: if these do not fit into the
// cache together, rows wait in memory.
func (g *gathering) readThese(ctx context.Context, rows []*chunkrow.Row, times []hours, where func(hours) string, fields chunkrow.Fields, whole bool) error {
	spelled := fields&chunkrow.Stacks != 0 && !g.numbers(whole)
	for _, h := range times {
		list := rows
		if len(times) > 1 {
			list = ofHours(rows, h)
		}
		for len(list) > 0 {
			n := len(list)
			if spelled && slices.ContainsFunc(list, func(row *chunkrow.Row) bool { return row.Dictionary != 0 }) {
				n = batchOf(list)
				if err := g.loadDictionaries(ctx, list[:n]); err != nil {
					return err
				}
			}
			if err := g.readBatch(ctx, list[:n], where(h), fields, g.selector(whole)); err != nil {
				return err
			}
			list = list[n:]
		}
	}
	return nil
}

// ofHours returns the rows of some hours.
func ofHours(rows []*chunkrow.Row, h hours) (out []*chunkrow.Row) {
	for _, row := range rows {
		if row.Hour >= h.first*3600 && row.Hour < h.end*3600 {
			out = append(out, row)
		}
	}
	return out
}

func (g *gathering) readBatch(ctx context.Context, rows []*chunkrow.Row, where string, fields chunkrow.Fields, read rowSelector) error {
	// Of rows that differ in nothing one is as good as the other.
	seen := make(map[uint64]struct{}, len(rows))
	err := read(ctx, g.name, g.scan, fields, where+isWanted, func(row *chunkrow.Row) error {
		if _, twice := seen[row.ID]; twice {
			return nil
		}
		seen[row.ID] = struct{}{}
		return g.take(row, false)
	}, idTable(rows))
	if err == nil && len(seen) < len(rows) {
		return gone(len(rows)-len(seen), len(rows))
	}
	return err
}

// inTime returns an error if rows that were visible when a query began may have
// been deleted before it ended.
func (r *Reader) inTime(begin time.Time) error {
	if took := time.Since(begin); r.opts.DeleteDelay > 0 && took >= r.opts.DeleteDelay {
		return fmt.Errorf("%w: query took %s; rows that were replaced are kept for %s", profilestore.ErrLimit, took, r.opts.DeleteDelay)
	}
	return nil
}
