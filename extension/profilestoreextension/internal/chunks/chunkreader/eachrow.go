package chunkreader

import (
	"context"
	"fmt"
	"time"

	"github.com/ClickHouse/ch-go"
	"github.com/ClickHouse/ch-go/proto"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chconn"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/chunkrow"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/layout"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// streaming is a query that reads rows one after the other, hour by hour, for
// callers that take as long as they like.
type streaming struct {
	*Reader
	name   string
	fields chunkrow.Fields
	// where narrows the rows that are read; those for which it does not hold have
	// nothing for f.
	where string
	// f takes a row that counts and which of its profiles are selected, nil for all.
	// No query runs meanwhile.
	f func(ctx context.Context, row *chunkrow.Row, selected func(profile int) bool) error
}

// batchCost bounds the rows that are read at once. It is about their bytes.
const batchCost = 16 << 20

// run reads the rows of sel.
func (s *streaming) run(ctx context.Context, sel profilestore.Selector) error {
	all, err := s.newScan(sel)
	if err != nil || all.start >= all.end {
		return err
	}
	list, err := s.hours(ctx, all)
	if err != nil {
		return err
	}
	for _, hour := range list {
		one := sel
		one.Start, one.End = max(all.start, hour*layout.Hour), min(all.end, (hour+1)*layout.Hour)
		scan, err := s.newScan(one)
		if err == nil {
			err = s.hour(ctx, scan)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// hours lists those with rows, as hours since 1970.
func (s *streaming) hours(ctx context.Context, scan *scan) (out []int64, err error) {
	var hour proto.ColDateTime
	q := chconn.Query{Params: scan.params, Query: ch.Query{
		Body:   "SELECT DISTINCT hour FROM " + s.from + " WHERE (" + scan.everything() + ")" + s.where + " ORDER BY hour",
		Result: proto.Results{{Name: "hour", Data: &hour}},
		OnResult: func(context.Context, proto.Block) error {
			for _, h := range hour.Data {
				out = append(out, int64(h)/3600)
			}
			return nil
		},
	}}
	if err := s.base.Do(ctx, "hours", q); err != nil {
		return nil, fmt.Errorf("read hours: %w", err)
	}
	return out, nil
}

func (s *streaming) hour(ctx context.Context, scan *scan) error {
	begin := time.Now()
	g := &gathering{Reader: s.Reader, scan: scan, name: s.name}
	if g.labels != "" {
		var err error
		if g.known, err = g.series(ctx, scan); err != nil || g.known.selected == 0 {
			return err
		}
	}
	rows, err := g.headers(ctx)
	if err != nil {
		return err
	}
	for len(rows) > 0 {
		n := batchOf(rows)
		if err := s.batch(ctx, g, rows[:n]); err != nil {
			return err
		}
		// The rows that were read in this state of the table may be gone by now.
		if err := s.inTime(begin); err != nil {
			return err
		}
		rows = rows[n:]
	}
	return nil
}

// batchOf returns how many of the first of these rows are read at once.
func batchOf(headers []*chunkrow.Row) (n int) {
	for cost := 0; n < len(headers) && (n == 0 || cost < batchCost); n++ {
		cost += 100*int(headers[n].Entries) + 50*int(headers[n].Profiles) + 1000
	}
	return n
}

// batch reads some rows, each once, and hands them on.
func (s *streaming) batch(ctx context.Context, g *gathering, headers []*chunkrow.Row) error {
	var rows []*chunkrow.Row
	seen := make(map[uint64]struct{}, len(headers))
	err := s.selectRows(ctx, s.name, g.scan, s.fields, g.everything()+isWanted+s.where, func(row *chunkrow.Row) error {
		if _, twice := seen[row.ID]; !twice && g.known.hasService(row.Service) {
			seen[row.ID] = struct{}{}
			rows = append(rows, row.Clone())
		}
		return nil
	}, idTable(headers))
	if err != nil {
		return err
	}
	if s.where == "" && g.known == nil && len(seen) < len(headers) {
		return gone(len(headers)-len(seen), len(headers))
	}
	for i, row := range rows {
		rows[i] = nil
		selected, n, err := g.selection(row)
		if err == nil && n > 0 {
			err = s.f(ctx, row, selected)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// gone says that rows were deleted while a query was on its way to them.
func gone(n, of int) error {
	return fmt.Errorf("%w: %d of %d rows of chunks are gone", profilestore.ErrUnavailable, n, of)
}
