package apertureapiextension

import (
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/aperture-collector/aperture-collector/internal/diff"
	"github.com/aperture-collector/aperture-collector/internal/export"
)

// baselineLabelPrefix starts the parameters that filter the baseline by a label.
const baselineLabelPrefix = "baseline." + labelPrefix

// hasBaseline reports whether a flame graph is asked for that compares.
func hasBaseline(values url.Values) bool {
	for name := range values {
		side, field, _ := strings.Cut(name, "_")
		if side == baselineSide && (field == "agent_id" || field == "start_ns" || field == "end_ns") || strings.HasPrefix(name, baselineLabelPrefix) {
			return true
		}
	}
	return false
}

// exportDiffSVG sends a differential flame graph.
func (a *api) exportDiffSVG(w http.ResponseWriter, r *http.Request, values url.Values) {
	done := a.observe(r.Context(), "export_svg")
	p := svgParams{diff: true}
	e := &kindExport{suffix: "-diff.svg", contentType: "image/svg+xml", header: p.header}
	o := export.DiffSVGOptions{}
	var res *diff.Result
	q, err := a.kindQuery(r, p.read)
	if err == nil {
		res, err = a.diffForSVG(r, values, q, &o)
	}
	done(err)
	switch {
	case err != nil:
		a.writeError(w, r, err)
		return
	case res.Baseline.Count == 0 && res.Comparison.Count == 0:
		plain(w, http.StatusNotFound, noData(q.kind))
		return
	}
	o.SVGOptions = p.options
	e.send(w, r, q.kind, res.Truncated, func(out io.Writer) error { return export.WriteDiffSVG(out, res, o) })
}

// diffForSVG compares what q asks for with the baseline.
func (a *api) diffForSVG(r *http.Request, values url.Values, q *query, o *export.DiffSVGOptions) (*diff.Result, error) {
	d := diffQuery{common: *q, comparison: *q, baseline: query{agentID: q.agentID}, normalize: diff.Share}
	d.comparison.labels = nil
	if err := d.baseline.parseBaseline(values); err != nil {
		return nil, err
	}
	if err := param(values, "normalize", d.setNormalize); err != nil {
		return nil, err
	}
	if err := param(values, "differential", func(v string) error {
		o.Baseline = v == baselineSide
		if !o.Baseline && v != comparisonSide {
			return invalid("differential", "it is %q; it must be %s or %s", v[:min(len(v), 64)], comparisonSide, baselineSide)
		}
		return nil
	}); err != nil {
		return nil, err
	}
	// compare reads one stack more, and the answer has the rows of both sides.
	stacks := max(q.rows(a.cfg.StacksCap, a.cfg.StacksCap), 1)
	return a.compare(r.Context(), &d, stacks-1, 2*stacks)
}

// parseBaseline reads the parameters of the baseline.
func (q *query) parseBaseline(values url.Values) error {
	for _, p := range []struct {
		suffix string
		set    func(string) error
	}{
		{"_agent_id", q.setAgentID},
		{"_start_ns", intParam("time_start_ns", q.setStart)},
		{"_end_ns", intParam("time_end_ns", q.setEnd)},
	} {
		if err := param(values, baselineSide+p.suffix, p.set); err != nil {
			return sideError(baselineSide, err)
		}
	}
	for name := range values {
		label, ok := strings.CutPrefix(name, baselineLabelPrefix)
		if !ok {
			continue
		}
		err := param(values, name, func(v string) error { return q.setLabel(label, v) })
		var field *fieldError
		if errors.As(err, &field) {
			return &fieldError{baselineLabelPrefix + "NAME", field.message}
		}
	}
	return sideError(baselineSide, q.check())
}
