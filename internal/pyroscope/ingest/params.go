package ingest

import (
	"math"
	"mime"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Format is a format of bodies.
type Format string

// The formats of POST /ingest.
const (
	Folded     Format = "folded"
	Lines      Format = "lines"
	Trie       Format = "trie"
	Tree       Format = "tree"
	Pprof      Format = "pprof"
	JFR        Format = "jfr"
	Speedscope Format = "speedscope"
)

const (
	defaultSampleRate = 100
	unknownSpy        = "unknown"
)

// Params are the query parameters of POST /ingest. The parameters units and
// aggregationType say nothing that is not known already.
type Params struct {
	// Application is the name before the braces.
	Application string
	Labels      []Label
	From, Until time.Time
	Format      Format
	// SampleRate is in Hz; at 0, samples cannot be turned into time.
	SampleRate int64
	Spy        string
	// Multipart says that the body is a form with this boundary.
	Multipart bool
	Boundary  string
}

// ParseParams reads the parameters. Those that cannot be read, but for name, have
// their default, as in Pyroscope.
func ParseParams(query url.Values, contentType string, now time.Time) (*Params, error) {
	application, labels, err := parseName(query.Get("name"))
	if err != nil {
		return nil, err
	}
	p := &Params{Application: application, Labels: labels, SampleRate: defaultSampleRate, Spy: query.Get("spyName")}
	if p.Spy == "" {
		p.Spy = unknownSpy
	}
	if rate, err := strconv.ParseUint(query.Get("sampleRate"), 10, 32); err == nil {
		p.SampleRate = int64(rate)
	}
	p.From, p.Until = parseTime(query.Get("from"), now), parseTime(query.Get("until"), now)
	media, params, err := mime.ParseMediaType(contentType)
	if err != nil {
		media, _, _ = strings.Cut(contentType, ";")
		media = strings.ToLower(strings.TrimSpace(media))
	}
	if p.Multipart = media == "multipart/form-data"; p.Multipart {
		if p.Boundary = params["boundary"]; p.Boundary == "" {
			return nil, invalid(ReasonFormat, "Content-Type multipart/form-data has no boundary")
		}
	}
	p.Format = formatOf(query.Get("format"), media, p.Multipart)
	return p, nil
}

func formatOf(name, media string, multipart bool) Format {
	switch f := Format(name); {
	case f == JFR, f == Pprof, f == Speedscope, f == Trie, f == Tree, f == Lines:
		return f
	case media == "binary/octet-stream+trie":
		return Trie
	case media == "binary/octet-stream+tree":
		return Tree
	case multipart:
		return Pprof
	}
	return Folded
}

// parseTime reads a time in Unix seconds, or by the number of digits milliseconds,
// microseconds or nanoseconds. Anything else is now.
func parseTime(s string, now time.Time) time.Time {
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil || n > math.MaxInt64 {
		return now
	}
	switch v := int64(n); len(s) {
	case 13:
		return time.UnixMilli(v)
	case 16:
		return time.UnixMicro(v)
	case 19:
		return time.Unix(0, v)
	default:
		return time.Unix(v, 0)
	}
}

// OfSpan reports whether the profile is that of a single span.
func (p *Params) OfSpan() bool {
	_, ok := find(p.Labels, labelProfile)
	return ok
}
