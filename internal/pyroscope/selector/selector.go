package selector

import (
	"strings"
	"unicode/utf8"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// Bounds of a selector.
const (
	// MaxLength is the longest selector or query in bytes.
	MaxLength = 64 << 10
	// MaxMatchers bounds the matchers of a selector.
	MaxMatchers = 64
)

// Matcher compares the value of a label. A label that is not there has the empty value;
// regular expressions are RE2 and anchored at both ends.
type Matcher = labels.Matcher

// metrics is Prometheus's parser without its experiments. It has no state.
var metrics = parser.NewParser(parser.Options{})

// Parse reads a selector as Prometheus does: `{a="x", b!="y", c=~"re", d!~"re"}`. The
// error wraps [profile.ErrInvalid].
func Parse(text string) ([]*Matcher, error) {
	if err := checkText("selector", text); err != nil {
		return nil, err
	}
	list, err := metrics.ParseMetricSelector(text)
	if err != nil {
		return nil, Invalid("failed to parse selector %q: %s", shortened(text), err)
	}
	if len(list) > MaxMatchers {
		return nil, Invalid("selector has %d matchers; the limit is %d", len(list), MaxMatchers)
	}
	return list, nil
}

func checkText(what, text string) error {
	if len(text) > MaxLength {
		return Invalid("%s has %d bytes; the limit is %d", what, len(text), MaxLength)
	}
	if !utf8.ValidString(text) {
		return Invalid("%s is not valid UTF-8", what)
	}
	return nil
}

// shortened returns the begin of what a client sent, for errors.
func shortened(text string) string {
	const most = 128
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "…"
}

// ForStore returns the matcher of the store for a label of this name.
func ForStore(m *Matcher, name string) profilestore.Matcher {
	out := profilestore.Matcher{Name: name, Value: m.Value}
	switch m.Type {
	case labels.MatchEqual:
		out.Op = profilestore.MatchEqual
	case labels.MatchNotEqual:
		out.Op = profilestore.MatchNotEqual
	case labels.MatchRegexp:
		out.Op = profilestore.MatchRegexp
	case labels.MatchNotRegexp:
		out.Op = profilestore.MatchNotRegexp
	}
	return out
}

// IsEqual reports whether m asks for one value that is not empty.
func IsEqual(m *Matcher) bool { return m.Type == labels.MatchEqual && m.Value != "" }
