package chunkreader

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"time"

	"github.com/ClickHouse/ch-go"
	"golang.org/x/sync/errgroup"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/chunkrow"
	"github.com/aperture-collector/aperture-collector/internal/profile"
)

// sink takes the rows that count, each once. It is called by several goroutines.
type sink interface {
	// whole takes a row all of whose profiles are selected.
	whole(row *chunkrow.Row) error
	// cut takes a row and which of its profiles are selected: at least one, not all.
	cut(row *chunkrow.Row, selected func(profile int) bool) error
}

// gathering is one query that reads rows into a sink.
type gathering struct {
	*Reader
	*scan
	name    string
	columns columns
	sink    sink

	known  *seriesSet
	types  *typeCount
	twice  map[uint64]struct{} // ids of several rows, if the headers are known
	held   *held               // nil: without bounds
	queue  *errgroup.Group
	buffer []*chunkrow.Row
}

// errBuffer says that too many rows may be covered, or wait for dictionaries, and errTwice that a row is
// there twice or, though of the highest level, does not count, for a query that does not know the headers. errTypes says that the
// totals of more types are needed than were read.
var (
	errBuffer = errors.New("rows take more than the buffer")
	errTwice  = errors.New("a row is there twice")
	errTypes  = errors.New("a row has more types")
)

// gather reads all rows of a scan. Mostly one SELECT for each part of the time
// takes everything: rows of the highest level are never covered, others wait until
// it is known. What would be too much, or is summed by ClickHouse, reads the
// headers first. Either begins with the number of types that rows had the last
// time, as columns that are not there cost almost what others do.
func (r *Reader) gather(ctx context.Context, s *scan, name string, c columns, sink func() sink) (sink, error) {
	var known *seriesSet
	if s.labels != "" && s.service == "" {
		var err error
		if known, err = r.series(ctx, s); err != nil || known.selected == 0 {
			return sink(), err
		}
		s.narrow(known.services)
	}
	key := s.widthKey()
	types := r.widths.get(key)
	direct := r.opts.BufferBytes > 0
	for {
		out := sink()
		g := &gathering{Reader: r, scan: s, name: name, columns: c.of(types), sink: out, known: known, types: &typeCount{limit: types}}
		_, aggregates := out.(aggregator)
		var err error
		if direct && (s.service != "" || !aggregates || r.closed(s)) {
			g.held = &held{of: &r.buffer}
			err = g.direct(ctx)
			g.held.release()
		} else {
			err = g.byHeader(ctx)
		}
		switch {
		case errors.Is(err, errTypes):
			types = profile.MaxTypes
		case direct && (errors.Is(err, errBuffer) || errors.Is(err, errTwice)):
			direct = false
		default:
			if err == nil {
				r.widths.put(key, int(g.types.most.Load()))
			}
			return out, err
		}
	}
}

// closed reports whether most rows of a scan are compacted by now, so that nothing
// is left to be summed by ClickHouse. On a cluster that is left to the shards.
func (r *Reader) closed(s *scan) bool {
	return s.end < time.Now().Add(-closedAfter).UnixNano() && r.opts.Tables.Cluster == ""
}

// closedAfter is how long after the end of an hour its rows have been replaced by
// those of the highest level, mostly.
const closedAfter = 15 * time.Minute

// workers starts decoding, runs f, and waits for what was decoded.
func (g *gathering) workers(ctx context.Context, f func(ctx context.Context) error) error {
	var qctx context.Context
	g.queue, qctx = errgroup.WithContext(ctx)
	g.queue.SetLimit(runtime.GOMAXPROCS(0))
	err := f(qctx)
	if werr := g.queue.Wait(); werr != nil && (err == nil || ctx.Err() == nil && errors.Is(err, context.Canceled)) {
		return werr
	}
	return err
}

// direct reads each part of the time with one SELECT.
func (g *gathering) direct(ctx context.Context) error {
	var parts []part
	if !g.scan.whole.empty() {
		parts = append(parts, part{g.of(g.scan.whole), g.columns.whole, g.selector(true)})
	}
	for _, h := range g.scan.cut {
		parts = append(parts, part{g.ofCut(h), g.columns.cut, g.selector(false)})
	}
	all, ctx := errgroup.WithContext(ctx)
	known := future{done: make(chan struct{}), series: g.known}
	if known.series == nil && g.labels != "" {
		known.series = g.rememberedSeries(g.scan)
		known.remembered = known.series != nil
	}
	if g.labels == "" || known.series != nil {
		close(known.done)
	} else {
		// What is written is in series before it is in chunks: a row that is read
		// at the same time may have a series that was not there yet, as if the row
		// had not been there yet either.
		all.Go(func() (err error) {
			known.series, err = g.series(ctx, g.scan)
			close(known.done)
			return err
		})
	}
	for _, p := range parts {
		one := *g
		all.Go(func() error {
			return one.workers(ctx, func(ctx context.Context) error { return one.directPart(ctx, p, &known) })
		})
	}
	return all.Wait()
}

// future is the series that are selected, once done is closed.
type future struct {
	done   chan struct{}
	series *seriesSet
	// remembered is true if there may be others by now.
	remembered bool
}

// part is a condition and what is read of the rows for which it holds.
type part struct {
	where  string
	fields chunkrow.Fields
	read   rowSelector
}

// rowSelector is selectRows or selectNumbered.
type rowSelector func(ctx context.Context, name string, s *scan, fields chunkrow.Fields, where string, f func(*chunkrow.Row) error, tables ...ch.ExternalTable) error

// selector returns how rows are read that count as a whole, or do not.
func (g *gathering) selector(whole bool) rowSelector {
	if g.numbers(whole) {
		return g.selectNumbered
	}
	return func(ctx context.Context, name string, s *scan, fields chunkrow.Fields, where string, f func(*chunkrow.Row) error, tables ...ch.ExternalTable) error {
		return g.selectHeld(ctx, g.held, name, s, fields, where, f, tables...)
	}
}

// numbers reports whether the sink takes rows without hashes: one that can sums
// those that count as a whole by number.
func (g *gathering) numbers(whole bool) bool {
	k, ok := g.sink.(*kinds)
	return ok && whole && k.plain()
}

// headerBytes is about what a row takes of which the header is kept.
const headerBytes = 1 << 10

func (g *gathering) directPart(ctx context.Context, p part, known *future) error {
	seen := make(map[uint64]struct{})
	err := p.read(ctx, g.name, g.scan, p.fields|chunkrow.Covers, p.where, func(row *chunkrow.Row) error {
		if _, twice := seen[row.ID]; twice {
			return errTwice
		}
		seen[row.ID] = struct{}{}
		if row.Level < chunkrow.ClosedHour || g.labels != "" {
			if err := g.held.take(headerBytes + row.Bytes()); err != nil {
				return err
			}
			g.buffer = append(g.buffer, row.Clone())
			return nil
		}
		// Of a row of the highest level its covers alone are needed later.
		if err := g.held.take(headerBytes + 8*len(row.Covers)); err != nil {
			return err
		}
		header := &chunkrow.Row{Header: row.Header}
		header.Covers = slices.Clone(row.Covers)
		g.buffer = append(g.buffer, header)
		return g.take(row, false)
	})
	if err != nil {
		return err
	}
	select {
	case <-known.done:
		g.known = known.series
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	counts := visible(g.buffer)
	if known.remembered && !g.known.hasAll(counts) {
		if g.known, err = g.series(ctx, g.scan); err != nil {
			return err
		}
	}
	if g.labels == "" && closedHours(counts) < closedHours(g.buffer) {
		return errTwice // one that was taken already does not count
	}
	for _, row := range counts {
		if row.Level == chunkrow.ClosedHour && g.labels == "" {
			continue // taken already
		}
		if err := g.take(row, true); err != nil {
			return err
		}
	}
	return nil
}

// closedHours returns how many rows are of the highest level.
func closedHours(rows []*chunkrow.Row) (n int) {
	for _, row := range rows {
		if row.Level == chunkrow.ClosedHour {
			n++
		}
	}
	return n
}

// byHeader finds out which rows there are, and reads those that count.
func (g *gathering) byHeader(ctx context.Context) error {
	begin := time.Now()
	if g.labels != "" && g.known == nil {
		var err error
		if g.known, err = g.series(ctx, g.scan); err != nil || g.known.selected == 0 {
			return err
		}
	}
	rows, err := g.headers(ctx)
	if err != nil || len(rows) == 0 {
		return err
	}
	err = g.workers(ctx, func(ctx context.Context) error { return g.read(ctx, rows) })
	if err == nil {
		err = g.inTime(begin)
	}
	return err
}

// take hands a row that counts to the sink. owned is true if the row stays valid.
func (g *gathering) take(row *chunkrow.Row, owned bool) error {
	if err := g.types.see(row.Types); err != nil {
		return err
	}
	selected, n, err := g.selection(row)
	switch {
	case err != nil || n == 0:
		return err
	case selected == nil:
		return g.sink.whole(row)
	}
	if !owned {
		row = row.Clone()
		selected, _, _ = g.selection(row)
	}
	g.queue.Go(func() error { return g.sink.cut(row, selected) })
	return nil
}

// selection returns which profiles of a row are selected, nil for all, and how
// many they are if they are not all.
func (g *gathering) selection(row *chunkrow.Row) (selected func(int) bool, n int, err error) {
	if g.labels == "" && row.Hour >= g.scan.whole.first*3600 && row.Hour < g.scan.whole.end*3600 {
		return nil, 1, nil
	}
	if err := checkProfiles(row); err != nil {
		return nil, 0, err
	}
	times, series := row.Columns.Profiles.Times, row.Columns.Profiles.Series
	known := make([]bool, len(row.SeriesIDs))
	for i, id := range row.SeriesIDs {
		known[i] = g.known.has(id)
	}
	selected = func(i int) bool { return g.hasTime(times[i]) && known[series[i]] }
	for i := range times {
		if selected(i) {
			n++
		}
	}
	if n == len(times) {
		return nil, n, nil
	}
	return selected, n, nil
}
