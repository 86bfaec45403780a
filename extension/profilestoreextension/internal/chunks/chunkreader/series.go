package chunkreader

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/ClickHouse/ch-go"
	"github.com/ClickHouse/ch-go/proto"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chconn"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/chunkrow"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/layout"
	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// maxPoints bounds the points of one answer.
const maxPoints = 1 << 20

// Series implements [profilestore.Querier].
func (r *Reader) Series(ctx context.Context, sel profilestore.Selector, opts profilestore.SeriesOptions) ([]profilestore.Series, error) {
	if n := len(opts.By); n > profilestore.MaxBy {
		return nil, fmt.Errorf("%w: series by %d labels; the limit is %d", profile.ErrInvalid, n, profilestore.MaxBy)
	}
	if opts.Offset < 0 {
		return nil, fmt.Errorf("%w: offset is %d ns; must not be negative", profile.ErrInvalid, opts.Offset)
	}
	if opts.Step < 0 {
		return nil, fmt.Errorf("%w: step is %d ns; must not be negative", profile.ErrInvalid, opts.Step)
	}
	s, err := r.newScan(sel)
	if err != nil || s.start >= s.end {
		return nil, err
	}
	ctx, done, err := r.begin(ctx, sel, "series")
	if err != nil {
		return nil, err
	}
	out, err := r.sumSeries(ctx, s, opts)
	return out, done(err)
}

// sumSeries sums with groups that may lack series: those that are remembered, or were
// read before the rows were. If there are any, it reads the groups again. What they
// lack then though its rows were there before has no labels; what the second sum meets
// for the first time came later, and is left out as if it had not come yet.
func (r *Reader) sumSeries(ctx context.Context, s *scan, opts profilestore.SeriesOptions) ([]profilestore.Series, error) {
	leave, err := r.turns.wait(ctx, s.service)
	if err != nil {
		return nil, err
	}
	defer leave()
	groups := r.rememberedGroups(s, opts.By)
	if groups == nil {
		if groups, err = r.groups(ctx, s, opts.By); err != nil {
			return nil, err
		}
	}
	sums, err := r.sumGroups(ctx, s, opts, groups)
	if err != nil || len(sums.unknown) == 0 {
		return sums.answer(), err
	}
	if groups, err = r.groups(ctx, s, opts.By); err != nil {
		return nil, err
	}
	groups = maps.Clone(groups) // they are remembered
	for id := range sums.unknown {
		if _, ok := groups[id]; !ok {
			groups[id] = encodeValues(make([]string, len(opts.By)))
		}
	}
	sums, err = r.sumGroups(ctx, s, opts, groups)
	return sums.answer(), err
}

// sumGroups returns the sums, nil with an error.
func (r *Reader) sumGroups(ctx context.Context, s *scan, opts profilestore.SeriesOptions, groups map[proto.UInt128]string) (*seriesTaker, error) {
	one := *s // gather may narrow it
	one.params = s.params.Clone()
	out, err := r.gather(ctx, &one, "series", columns{byProfile, byProfile}, func() sink {
		return &eachProfile{to: &seriesTaker{
			opts: opts, groups: groups, unknown: make(map[proto.UInt128]struct{}), series: make(map[seriesKey]*points),
		}}
	})
	if err != nil {
		return nil, err
	}
	return out.(*eachProfile).to.(*seriesTaker), nil
}

// groupsList names the statement of groups.
func groupsList(by []string) string {
	out := []byte("groups ")
	for _, name := range by {
		out = profile.AppendString(out, name)
	}
	return string(out)
}

// rememberedGroups returns what is remembered of the groups of a scan of one service,
// nil for nothing.
func (r *Reader) rememberedGroups(s *scan, by []string) map[proto.UInt128]string {
	if s.service == "" || len(by) == 0 {
		return nil
	}
	return r.memory.get(s.statementKey(groupsList(by)))
}

// groups returns which values of labels each series has.
func (r *Reader) groups(ctx context.Context, s *scan, by []string) (map[proto.UInt128]string, error) {
	if len(by) == 0 {
		return nil, nil
	}
	var id proto.ColUInt128
	values := proto.NewArray[string](new(proto.ColStr))
	out := make(map[proto.UInt128]string)
	q := chconn.Query{Params: s.params.Clone(), Query: ch.Query{
		Body: "SELECT DISTINCT series, " + valuesOf(by, "{by:Array(String)}") + " AS vs FROM " + r.opts.Tables.Table("series") + " WHERE " + s.seriesFilter(),
		Result: proto.Results{
			{Name: "series", Data: &id},
			{Name: "vs", Data: values},
		},
		OnResult: func(context.Context, proto.Block) error {
			for i, v := range id {
				if _, ok := out[v]; !ok {
					out[v] = encodeValues(values.Row(i))
				}
			}
			return nil
		},
		Settings: quick(),
	}}
	q.Params.Strings("by", by)
	if err := r.base.Do(ctx, "series_labels", q); err != nil {
		return nil, fmt.Errorf("read labels of series: %w", err)
	}
	if s.service != "" {
		r.memory.put(s.statementKey(groupsList(by)), out)
	}
	return out, nil
}

// encodeValues makes one text of several, which have no bytes 0.
func encodeValues(vs []string) string {
	for i, v := range vs {
		vs[i] = strings.ReplaceAll(v, "\x00", "")
	}
	return strings.Join(vs, "\x00")
}

type seriesKey struct {
	kindKey
	group string
}

// points are those of one series, dense from the first to the last.
type points struct {
	first int64 // number of the step
	list  []profilestore.Point
}

// at returns the point of a step.
func (p *points) at(step int64) *profilestore.Point {
	switch {
	case len(p.list) == 0:
		p.first, p.list = step, append(p.list, profilestore.Point{})
	case step < p.first:
		p.list = slices.Insert(p.list, 0, make([]profilestore.Point, p.first-step)...)
		p.first = step
	case step-p.first >= int64(len(p.list)):
		n := int(step-p.first) + 1 - len(p.list)
		p.list = append(p.list, make([]profilestore.Point, n)...)
	}
	return &p.list[step-p.first]
}

// span returns how many steps there are from the first to the last, and step.
func (p *points) span(step int64) int64 {
	if len(p.list) == 0 {
		return 1
	}
	return max(step, p.first+int64(len(p.list))-1) - min(step, p.first) + 1
}

// seriesTaker sums profiles by series and step.
type seriesTaker struct {
	opts   profilestore.SeriesOptions
	groups map[proto.UInt128]string // nil if there is one group
	// unknown are the series that groups lack. Their profiles are not in the sums.
	unknown map[proto.UInt128]struct{}

	n      int64 // points
	series map[seriesKey]*points
	row    []*points // of the row's series, once they were met
}

func (s *seriesTaker) begin(row *chunkrow.Row) { s.row = make([]*points, len(row.SeriesIDs)) }

func (s *seriesTaker) profile(row *chunkrow.Row, i int) error {
	series := row.Columns.Profiles.Series[i]
	to := s.row[series]
	if to == nil {
		group, ok := s.groups[row.SeriesIDs[series]]
		if !ok && s.groups != nil {
			s.unknown[row.SeriesIDs[series]] = struct{}{}
			return nil
		}
		key := seriesKey{kindKey{kind: row.Kind, types: row.Types}, group}
		if s.opts.ByPeriod {
			key.period = row.Period
		}
		if to = s.series[key]; to == nil {
			to = new(points)
			s.series[key] = to
		}
		s.row[series] = to
	}
	var step int64
	if s.opts.Step > 0 {
		step = profile.Bucket(row.Columns.Profiles.Times[i]-s.opts.Offset, s.opts.Step)
	}
	if n := to.span(step) - int64(len(to.list)); n > 0 {
		if s.n += n; s.n > maxPoints {
			return fmt.Errorf("%w: more than %d points; a longer step has fewer", profilestore.ErrLimit, maxPoints)
		}
	}
	point := to.at(step)
	for j, v := range totalsOf(row, i) {
		point.Values[j] = profile.Add(point.Values[j], v)
	}
	point.Events = profile.AddCount(point.Events, events(row, i))
	point.Profiles++
	return nil
}

func (s *seriesTaker) answer() []profilestore.Series {
	if s == nil {
		return nil
	}
	out := make([]profilestore.Series, 0, len(s.series))
	for key, ps := range s.series {
		one := profilestore.Series{Kind: key.kind, Types: layout.DecodeTypes(key.types), Period: key.period}
		if s.groups != nil {
			one.Labels = strings.Split(key.group, "\x00")
		}
		one.Points = ps.list[:0] // what is left of them
		for i, p := range ps.list {
			if p.Profiles > 0 {
				p.Time = (ps.first+int64(i))*s.opts.Step + s.opts.Offset
				one.Points = append(one.Points, p)
			}
		}
		out = append(out, one)
	}
	slices.SortFunc(out, func(a, b profilestore.Series) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), slices.Compare(a.Labels, b.Labels), cmp.Compare(layout.EncodeTypes(a.Types), layout.EncodeTypes(b.Types)), cmp.Compare(a.Period, b.Period))
	})
	return out
}
