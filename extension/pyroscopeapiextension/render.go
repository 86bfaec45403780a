package pyroscopeapiextension

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"

	"golang.org/x/sync/errgroup"

	typesv1 "github.com/grafana/pyroscope/api/gen/proto/go/types/v1"

	"github.com/aperture-collector/aperture-collector/internal/flamebearer"
	"github.com/aperture-collector/aperture-collector/internal/pyroscope/selector"
	"github.com/aperture-collector/aperture-collector/internal/pyroscope/typemap"
)

// rendered is the answer of render and render-diff.
type rendered struct {
	Version     int                  `json:"version"`
	Flamebearer renderedGraph        `json:"flamebearer"`
	Metadata    renderedMetadata     `json:"metadata"`
	Timeline    *timeline            `json:"timeline"`
	Groups      map[string]*timeline `json:"groups"`
	Heatmap     *struct{}            `json:"heatmap"`
	LeftTicks   int64                `json:"leftTicks,omitempty"`
	RightTicks  int64                `json:"rightTicks,omitempty"`
}

type renderedGraph struct {
	Names    []string  `json:"names"`
	Levels   [][]int64 `json:"levels"`
	NumTicks int64     `json:"numTicks"`
	MaxSelf  int64     `json:"maxSelf"`
}

type renderedMetadata struct {
	Format     string `json:"format"`
	SpyName    string `json:"spyName"`
	SampleRate int64  `json:"sampleRate"`
	Units      string `json:"units"`
	Name       string `json:"name"`
}

func newRendered(g *flamebearer.Graph, id typemap.ID, format string) *rendered {
	out := &rendered{
		Version:     1,
		Flamebearer: renderedGraph{g.Names, g.Levels, g.Total, g.MaxSelf},
		Metadata:    renderedMetadata{Format: format, SampleRate: 100, Units: id.Sample.Unit, Name: id.Sample.Type},
		LeftTicks:   g.Left, RightTicks: g.Right,
	}
	switch id.Sample.Type {
	case "inuse_objects", "alloc_objects", "goroutine", "samples":
		out.Metadata.Units = "objects"
	case "cpu":
		out.Metadata.Units, out.Metadata.SampleRate = "samples", 1_000_000_000
	}
	return out
}

// render answers GET /pyroscope/render: a flame graph and a series over time.
func (a *api) render(w http.ResponseWriter, r *http.Request) {
	a.answer(w, r, "render", func(ctx context.Context, tenant string) (func(http.ResponseWriter), error) {
		values, err := url.ParseQuery(r.URL.RawQuery)
		if err != nil {
			return nil, selector.Invalid("failed to parse the query string: %s", err)
		}
		q, err := a.renderQuery(tenant, values, "query", "from", "until")
		if err != nil {
			return nil, err
		}
		if values.Get("format") == "dot" {
			dot, err := a.dot(ctx, q, maxNodes(values))
			return func(w http.ResponseWriter) { sendText(w, http.StatusOK, dot) }, err
		}
		out, err := a.renderJSON(ctx, q, values)
		return func(w http.ResponseWriter) { sendJSON(w, out) }, err
	})
}

func (a *api) renderJSON(ctx context.Context, q *stackQuery, values url.Values) (*rendered, error) {
	series := &seriesQuery{stackQuery: *q, step: a.cfg.Compatibility.timelineStep(q.times)}
	for _, name := range values["groupBy"] {
		if name != "" {
			series.by = append(series.by, name)
		}
	}
	// Groups have one name each, the value of the first label.
	if len(series.by) > 1 {
		series.by = series.by[:1]
	}
	switch aggregation := values.Get("aggregation"); aggregation {
	case "", "sum":
	case "avg", "average":
		series.average = true
	default:
		return nil, selector.Invalid("aggregation is %.64q; it must be sum or avg", aggregation)
	}
	var g *flamebearer.Graph
	var list []*typesv1.Series
	group, groupCtx := errgroup.WithContext(ctx)
	group.Go(func() (err error) {
		g, err = a.graph(groupCtx, q, maxNodes(values))
		return err
	})
	group.Go(func() (err error) {
		list, err = a.selectSeries(groupCtx, series)
		return err
	})
	if err := group.Wait(); err != nil {
		return nil, err
	}
	out := newRendered(g, q.id, "single")
	out.Timeline = newTimeline(series)
	if len(list) == 1 {
		out.Timeline.fill(series, list[0])
	}
	if len(series.by) > 0 {
		out.Groups = make(map[string]*timeline, len(list))
		for _, s := range list {
			t := newTimeline(series)
			t.fill(series, s)
			out.Groups[groupKey(s, series.by[0])] = t
		}
	}
	return out, nil
}

// groupKey is the value of the label that series are grouped by, or a star if it is
// not there.
func groupKey(s *typesv1.Series, by string) string {
	for _, l := range s.Labels {
		if l.Name == typemap.Label(by) {
			return l.Value
		}
	}
	return "*"
}

// renderDiff answers GET /pyroscope/render-diff: two sums side by side.
func (a *api) renderDiff(w http.ResponseWriter, r *http.Request) {
	a.answer(w, r, "render_diff", func(ctx context.Context, tenant string) (func(http.ResponseWriter), error) {
		values, err := url.ParseQuery(r.URL.RawQuery)
		if err != nil {
			return nil, selector.Invalid("failed to parse the query string: %s", err)
		}
		left, err := a.renderQuery(tenant, values, "leftQuery", "leftFrom", "leftUntil")
		if err != nil {
			return nil, err
		}
		right, err := a.renderQuery(tenant, values, "rightQuery", "rightFrom", "rightUntil")
		if err != nil {
			return nil, err
		}
		g, err := a.compare(ctx, left, right, maxNodes(values))
		if err != nil {
			return nil, err
		}
		return func(w http.ResponseWriter) { sendJSON(w, newRendered(g, left.id, "double")) }, nil
	})
}

// renderQuery reads the parameters that say what is asked for.
func (a *api) renderQuery(tenant string, values url.Values, query, from, until string) (*stackQuery, error) {
	q, err := selector.ParseQuery(values.Get(query))
	if err != nil {
		return nil, err
	}
	now := a.now()
	return &stackQuery{tenant: tenant, id: q.Type, matchers: q.Matchers, times: timeRange{
		selector.ParseTime(values.Get(from), now).UnixMilli(), selector.ParseTime(values.Get(until), now).UnixMilli(),
	}}, nil
}

// maxNodes reads the parameter of that name, 0 if it is not there or no number.
func maxNodes(values url.Values) int64 {
	for _, name := range []string{"maxNodes", "max-nodes"} {
		if n, err := strconv.ParseInt(values.Get(name), 10, 64); err == nil {
			return n
		}
	}
	return 0
}

// answer runs a query of an HTTP route and sends what it returns.
func (a *api) answer(w http.ResponseWriter, r *http.Request, operation string, f func(ctx context.Context, tenant string) (func(http.ResponseWriter), error)) {
	var send func(http.ResponseWriter)
	err := a.query(r.Context(), operation, r.Header, func(ctx context.Context, tenant string) (err error) {
		send, err = f(ctx, tenant)
		return err
	})
	if err != nil {
		a.failed(r.Context(), operation, err).Write(w)
		return
	}
	send(w)
}

func sendJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	// An error can only mean that the client is gone.
	_ = json.NewEncoder(w).Encode(v)
}

func sendText(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text))
}
