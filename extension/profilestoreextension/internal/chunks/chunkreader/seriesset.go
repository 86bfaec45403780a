package chunkreader

import (
	"context"
	"fmt"
	"strconv"

	"github.com/ClickHouse/ch-go"
	"github.com/ClickHouse/ch-go/proto"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chconn"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/chunkrow"
)

// seriesSet has the series that are selected and their services; nil stands for
// all. It does not change any more.
type seriesSet struct {
	// answer has isSelected for the series that are, and others that are not.
	answer   map[proto.UInt128]string
	selected int
	services map[string]struct{}
}

// isSelected is what a series is remembered by that is selected.
const isSelected = "1"

func (s *seriesSet) has(id proto.UInt128) bool { return s == nil || s.answer[id] == isSelected }

func (s *seriesSet) hasService(name string) bool {
	if s == nil {
		return true
	}
	_, ok := s.services[name]
	return ok
}

// hasAll reports whether it is known of all series of rows if they are selected.
func (s *seriesSet) hasAll(rows []*chunkrow.Row) bool {
	for _, row := range rows {
		for _, id := range row.SeriesIDs {
			if _, ok := s.answer[id]; !ok {
				return false
			}
		}
	}
	return true
}

// series reads the series that a scan is about.
func (r *Reader) series(ctx context.Context, s *scan) (*seriesSet, error) {
	if s.service != "" {
		return r.seriesOfService(ctx, s)
	}
	var id proto.ColUInt128
	service := proto.NewLowCardinality[string](new(proto.ColStr))
	out := &seriesSet{answer: make(map[proto.UInt128]string), services: make(map[string]struct{})}
	q := chconn.Query{Params: s.params, Query: ch.Query{
		Body:   "SELECT DISTINCT service, series FROM " + r.opts.Tables.Table("series") + " WHERE " + s.filter + " AND " + s.labels,
		Result: proto.Results{{Name: "service", Data: service}, {Name: "series", Data: &id}},
		OnResult: func(context.Context, proto.Block) error {
			for i, v := range id {
				out.answer[v] = isSelected
				out.services[service.Row(i)] = struct{}{}
			}
			return nil
		},
	}}
	if err := r.base.Do(ctx, "series", q); err != nil {
		return nil, fmt.Errorf("read series: %w", err)
	}
	out.selected = len(out.answer)
	return out, nil
}

// selectedList names the statement of seriesOfService.
const selectedList = "selected"

// seriesOfService asks for some that are not selected, too, to remember all if these
// are not many more.
func (r *Reader) seriesOfService(ctx context.Context, s *scan) (*seriesSet, error) {
	from := " FROM " + r.opts.Tables.Table("series") + " WHERE " + s.filter + " AND "
	selected := "SELECT DISTINCT series, toUInt8(1) AS selected" + from + "(" + s.labels + ")"
	others := "SELECT DISTINCT series, toUInt8(0) AS selected" + from + "NOT (" + s.labels + ") LIMIT " + strconv.Itoa(maxRemembered+1)
	out, err := r.readSeries(ctx, s, selected+" UNION ALL SELECT * FROM ("+others+")")
	if chconn.IsException(err, proto.ErrTooManyRowsOrBytes) { // that are not needed, perhaps
		return r.readSeries(ctx, s, selected)
	}
	if err == nil { // more are not remembered
		r.memory.put(s.statementKey(selectedList), out.answer)
	}
	return out, err
}

func (r *Reader) readSeries(ctx context.Context, s *scan, body string) (*seriesSet, error) {
	var id proto.ColUInt128
	var selected proto.ColUInt8
	out := s.newSeriesSet(make(map[proto.UInt128]string))
	q := chconn.Query{Params: s.params, Query: ch.Query{
		Body:   body,
		Result: proto.Results{{Name: "series", Data: &id}, {Name: "selected", Data: &selected}},
		OnResult: func(context.Context, proto.Block) error {
			for i, v := range id {
				if selected[i] == 0 {
					out.answer[v] = ""
				} else {
					out.answer[v] = isSelected
				}
			}
			return nil
		},
		Settings: quick(),
	}}
	if err := r.base.Do(ctx, "series", q); err != nil {
		return nil, fmt.Errorf("read series: %w", err)
	}
	for _, is := range out.answer {
		if is == isSelected {
			out.selected++
		}
	}
	return out, nil
}

// rememberedSeries returns what is remembered of the series that a scan of one
// service is about, nil for nothing.
func (r *Reader) rememberedSeries(s *scan) *seriesSet {
	answer := r.memory.get(s.statementKey(selectedList))
	if s.service == "" || answer == nil {
		return nil
	}
	return s.newSeriesSet(answer)
}

func (s *scan) newSeriesSet(answer map[proto.UInt128]string) *seriesSet {
	return &seriesSet{answer: answer, services: map[string]struct{}{s.service: {}}}
}
