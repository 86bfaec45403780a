package selector

import (
	"strings"

	"github.com/aperture-collector/aperture-collector/internal/pyroscope/typemap"
)

// Labels that say what a profile is, beside those of its series.
const (
	LabelName        = "__name__"
	LabelType        = "__type__"
	LabelUnit        = "__unit__"
	LabelPeriodType  = "__period_type__"
	LabelPeriodUnit  = "__period_unit__"
	LabelProfileType = "__profile_type__"
	// LabelServicePrivate is the service once more.
	LabelServicePrivate = "__service_name__"
)

// TypeLabels are the labels of a profile type, sorted.
var TypeLabels = []string{LabelName, LabelPeriodType, LabelPeriodUnit, LabelProfileType, LabelType, LabelUnit}

// ParseTypeID reads the id of a profile type. The error wraps [profile.ErrInvalid].
func ParseTypeID(text string) (typemap.ID, error) {
	if err := checkText("profile type", text); err != nil {
		return typemap.ID{}, err
	}
	id, err := typemap.Parse(text)
	if err != nil {
		return id, Invalid("%s", err)
	}
	return id, nil
}

// TypeLabel returns the value of one of [TypeLabels], empty for any other.
func TypeLabel(id typemap.ID, name string) string {
	switch name {
	case LabelName:
		return id.Name
	case LabelType:
		return id.Sample.Type
	case LabelUnit:
		return id.Sample.Unit
	case LabelPeriodType:
		return id.Period.Type
	case LabelPeriodUnit:
		return id.Period.Unit
	case LabelProfileType:
		return id.String()
	}
	return ""
}

// Query is a profile type and the labels of its series.
type Query struct {
	Type     typemap.ID
	Matchers []*Matcher
}

// ParseQuery reads `<type id>{<selector>}`, whose braces may be left out. The type may
// also be the value of `__name__` or `__profile_type__`. The error wraps
// [profile.ErrInvalid].
func ParseQuery(text string) (Query, error) {
	if text == "" {
		return Query{}, Invalid(`"query" is required`)
	}
	if err := checkText("query", text); err != nil {
		return Query{}, err
	}
	id, rest := strings.TrimSpace(text), "{}"
	if at := strings.IndexByte(text, '{'); at >= 0 {
		id, rest = strings.TrimSpace(text[:at]), text[at:]
	}
	list, err := Parse(rest)
	if err != nil {
		return Query{}, Invalid(`failed to parse "query": %s`, err)
	}
	q := Query{Matchers: list}
	if id == "" {
		if id, q.Matchers = takeType(list); id == "" {
			return Query{}, Invalid(`"query" must contain a profile-type selection`)
		}
	}
	q.Type, err = ParseTypeID(id)
	return q, err
}

// takeType takes the first matcher that names a type away.
func takeType(list []*Matcher) (id string, rest []*Matcher) {
	for i, m := range list {
		if IsEqual(m) && (m.Name == LabelProfileType || m.Name == LabelName && strings.Contains(m.Value, ":")) {
			return m.Value, append(append(rest, list[:i]...), list[i+1:]...)
		}
	}
	return "", list
}
