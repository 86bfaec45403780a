package ingest

import (
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/pyroscope/typemap"
)

// Labels with a meaning.
const (
	labelName     = "__name__"
	labelReplaced = "__name_replaced__"
	labelSpy      = "pyroscope_spy"
	labelApp      = "app_name"
	labelEvent    = "jfr_event"
	labelProfile  = "profile_id"
	labelSpan     = "span_id"
	labelTrace    = "trace_id"
	private       = "__"

	unknownService = "unknown_service"
	// deltaPrefix is what profilers of Go that send differences put before names.
	deltaPrefix = "godeltaprof_"
)

// Series is what profiles are of.
type Series struct {
	// Name is the label `__name__`.
	Name    string
	service string
	// labels are all others, without private ones, sorted by name.
	labels []Label
}

// NewSeries returns the series with these labels, of which names may have dots. Those
// that are private to clients are left out. A series without a service is of
// unknown_service.
func NewSeries(labels []Label) (*Series, error) {
	s := &Series{service: unknownService}
	dotted := "" // the service as attributes have it
	for _, l := range labels {
		switch {
		case !utf8.ValidString(l.Name) || !utf8.ValidString(l.Value):
			return nil, invalid(ReasonLabels, "label %q with value %.256q is not valid UTF-8", l.Name, l.Value)
		case l.Name == "":
			return nil, invalid(ReasonLabels, "a label with value %.256q has no name", l.Value)
		case l.Name == labelName:
			s.Name = l.Value
		case strings.HasPrefix(l.Name, private), l.Value == "":
		case l.Name == typemap.LabelService:
			s.service = l.Value
		case typemap.Attribute(l.Name) == typemap.LabelService:
			dotted = l.Value
		default:
			name := typemap.Attribute(l.Name)
			if other, ok := find(s.labels, name); ok && other != l.Value {
				return nil, invalid(ReasonLabels, "label %q is there twice, with values %.256q and %.256q", name, other, l.Value)
			}
			s.labels = setLabel(s.labels, name, l.Value)
		}
	}
	if s.service == unknownService && dotted != "" {
		s.service = dotted
	}
	if name, ok := strings.CutPrefix(s.Name, deltaPrefix); ok && name != "" {
		s.labels = append(s.labels, Label{labelReplaced, s.Name})
		s.Name = name
	}
	s.sort()
	return s, nil
}

// series returns the series of a request to POST /ingest.
func (p *Params) series(service string) (*Series, error) {
	labels := make([]Label, 0, len(p.Labels)+3)
	for _, l := range p.Labels {
		if !strings.HasPrefix(l.Name, private) {
			labels = append(labels, l)
		}
	}
	of := typemap.LabelService
	if _, ok := find(labels, of); ok {
		of = labelApp
	}
	if _, ok := find(labels, of); !ok {
		labels = append(labels, Label{of, service})
	}
	labels = setLabel(labels, labelSpy, p.Spy)
	return NewSeries(labels)
}

// with returns the series with a further label and another name.
func (s *Series) with(name string, labels ...Label) *Series {
	out := &Series{Name: name, service: s.service, labels: slices.Clone(s.labels)}
	for _, l := range labels {
		if l.Value != "" {
			out.labels = setLabel(out.labels, l.Name, l.Value)
		}
	}
	out.sort()
	return out
}

func (s *Series) sort() {
	slices.SortFunc(s.labels, byName)
}

func byName(a, b Label) int { return strings.Compare(a.Name, b.Name) }

// has reports whether the series has a label.
func (s *Series) has(name string) bool {
	if name == typemap.LabelService {
		return true
	}
	_, ok := find(s.labels, name)
	return ok
}

// String returns the labels as selectors have them.
func (s *Series) String() string { return s.text(nil) }

// text returns the labels with further ones.
func (s *Series) text(more []Label) string {
	var b strings.Builder
	b.WriteByte('{')
	if s.Name != "" { // it is not known before a profile is read
		b.WriteString(`__name__=` + strconv.Quote(s.Name) + ", ")
	}
	b.WriteString(`service_name=` + strconv.Quote(s.service))
	for _, list := range [][]Label{s.labels, more} {
		for _, l := range list {
			b.WriteString(", " + l.Name + "=" + strconv.Quote(l.Value))
			if b.Len() > 1024 {
				return b.String() + ", …}"
			}
		}
	}
	return b.String() + "}"
}

// resource makes the labels those of a resource.
func (s *Series) resource(to pcommon.Map, tenant string) {
	to.EnsureCapacity(len(s.labels) + 2)
	to.PutStr(profile.AttrTenant, tenant)
	to.PutStr(typemap.AttrService, s.service)
	for _, l := range s.labels {
		to.PutStr(l.Name, l.Value)
	}
}

// check checks the labels with those that profiles have beside them.
func (s *Series) check(limits *Limits, more []Label) error {
	if n := len(s.labels) + len(more) + 2; limits.MaxLabelNames > 0 && n > limits.MaxLabelNames {
		return invalid(ReasonLabels, "profile series '%s' has %d label names; limit %d", s.text(more), n, limits.MaxLabelNames)
	}
	for _, list := range [][]Label{{{labelName, s.Name}, {typemap.LabelService, s.service}}, s.labels, more} {
		for _, l := range list {
			if most := limits.MaxLabelName; most > 0 && len(l.Name) > most {
				return invalid(ReasonLabels, "profile with labels '%s' has label name too long: '%.64s…' has %d bytes; limit %d", s.text(more), l.Name, len(l.Name), most)
			}
			if most := limits.MaxLabelValue; most > 0 && len(l.Value) > most {
				return invalid(ReasonLabels, "profile with labels '%s' has label value too long: that of '%s' has %d bytes; limit %d", s.text(more), l.Name, len(l.Value), most)
			}
		}
	}
	return nil
}
