package apertureapiextension

import (
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/aperture-collector/aperture-collector/internal/export"
)

func (a *api) exportSVG(w http.ResponseWriter, r *http.Request) {
	if values, err := params(r.URL.RawQuery); err == nil && hasBaseline(values) {
		a.exportDiffSVG(w, r, values)
		return
	}
	var p svgParams
	a.exportKind(w, r, &kindExport{
		operation: "export_svg", params: p.read, suffix: ".svg", contentType: "image/svg+xml",
		header: p.header,
		write:  func(out io.Writer, profile *export.Profile) error { return export.WriteSVG(out, profile, p.options) },
	})
}

// svgParams are the parameters of a flame graph besides the filters.
type svgParams struct {
	options  export.SVGOptions
	download bool
	diff     bool
}

func (p *svgParams) read(values url.Values, q *query) error {
	title := kindTitle(q.kind) + " flame graph"
	if p.diff {
		title = kindTitle(q.kind) + " differential flame graph"
	}
	if q.service != "" {
		title += " of " + q.service
	}
	p.options = export.SVGOptions{Title: title, Width: export.DefaultSVGWidth}
	if err := param(values, "title", func(v string) error {
		p.options.Title = v
		return checkText("title", v)
	}); err != nil {
		return err
	}
	if err := param(values, "width", intParam("width", func(v int64) error {
		if v < export.MinSVGWidth || v > export.MaxSVGWidth {
			return invalid("width", "it is %d; it must be from %d to %d pixels", v, export.MinSVGWidth, export.MaxSVGWidth)
		}
		p.options.Width = int(v)
		return nil
	})); err != nil {
		return err
	}
	return param(values, "download", func(v string) error {
		switch v {
		case "", "1", "true":
			p.download = true
		case "0", "false":
		default:
			return invalid("download", "it is %q; it must be true or false", v[:min(len(v), 64)])
		}
		return nil
	})
}

// header has browsers show the graph, and keeps what is in it from reaching
// anything else.
func (p *svgParams) header(h http.Header) {
	h.Set("Content-Security-Policy", export.SVGPolicy)
	if !p.download {
		h.Set("Content-Disposition", strings.Replace(h.Get("Content-Disposition"), "attachment", "inline", 1))
	}
}
