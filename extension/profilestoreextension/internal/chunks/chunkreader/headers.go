package chunkreader

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/ClickHouse/ch-go"
	"github.com/ClickHouse/ch-go/proto"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/chunkrow"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// visible returns the rows that count, see [chunkrow.Visible].
func visible(rows []*chunkrow.Row) []*chunkrow.Row {
	headers := make([]chunkrow.Header, len(rows))
	for i, row := range rows {
		headers[i] = row.Header
	}
	out := make([]*chunkrow.Row, 0, len(rows))
	for i, ok := range chunkrow.Visible(headers) {
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
	if (g.columns.whole|g.columns.cut)&chunkrow.Stacks != 0 {
		if err := g.loadDictionaries(ctx, whole, cut); err != nil {
			return err
		}
	}
	if a, ok := g.sink.(aggregator); ok && len(whole) > 0 {
		var err error
		if whole, err = a.aggregate(ctx, g, whole); err != nil {
			return err
		}
	}
	if err := g.readThese(ctx, whole, []hours{g.scan.whole}, g.of, g.columns.whole, g.selector(true)); err != nil {
		return err
	}
	return g.readThese(ctx, cut, g.scan.cut, g.ofCut, g.columns.cut, g.selector(false))
}

func (g *gathering) readThese(ctx context.Context, rows []*chunkrow.Row, times []hours, where func(hours) string, fields chunkrow.Fields, read rowSelector) error {
	if len(rows) == 0 {
		return nil
	}
	wanted := idTable(rows)
	// Of rows that differ in nothing one is as good as the other.
	seen := make(map[uint64]struct{}, len(rows))
	for _, h := range times {
		err := read(ctx, g.name, g.scan, fields, where(h)+isWanted, func(row *chunkrow.Row) error {
			if _, twice := seen[row.ID]; twice {
				return nil
			}
			seen[row.ID] = struct{}{}
			return g.take(row, false)
		}, wanted)
		if err != nil {
			return err
		}
	}
	if len(seen) < len(rows) {
		return gone(len(rows)-len(seen), len(rows))
	}
	return nil
}

// inTime returns an error if rows that were visible when a query began may have
// been deleted before it ended.
func (r *Reader) inTime(begin time.Time) error {
	if took := time.Since(begin); r.opts.DeleteDelay > 0 && took >= r.opts.DeleteDelay {
		return fmt.Errorf("%w: query took %s; rows that were replaced are kept for %s", profilestore.ErrLimit, took, r.opts.DeleteDelay)
	}
	return nil
}
