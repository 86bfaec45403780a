package aggregate

import (
	"fmt"
	"regexp"
	"slices"

	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

func checkSelector(sel profilestore.Selector) error {
	if sel.Tenant == "" {
		return fmt.Errorf("%w: selector has no tenant", profile.ErrInvalid)
	}
	return nil
}

func inRange(sel profilestore.Selector, t int64) bool {
	return (sel.Start == 0 || sel.Start <= t) && (sel.End == 0 || t < sel.End)
}

// matcher is a selector with its regular expressions compiled. It remembers
// which series match.
type matcher struct {
	sel    profilestore.Selector
	regexp []*regexp.Regexp // by matcher; nil where it is none
	series map[*profile.Series]bool
}

func newMatcher(sel profilestore.Selector) (*matcher, error) {
	if err := checkSelector(sel); err != nil {
		return nil, err
	}
	m := &matcher{sel: sel, regexp: make([]*regexp.Regexp, len(sel.Matchers)), series: make(map[*profile.Series]bool)}
	for i, x := range sel.Matchers {
		if x.Op != profilestore.MatchRegexp && x.Op != profilestore.MatchNotRegexp {
			continue
		}
		re, err := regexp.Compile("^(?:" + x.Value + ")$")
		if err != nil {
			return nil, fmt.Errorf("%w: matcher of label %q: %w", profile.ErrInvalid, x.Name, err)
		}
		m.regexp[i] = re
	}
	return m, nil
}

func (m *matcher) matches(g *group, kind string) bool {
	if !inRange(m.sel, g.start) || len(m.sel.Kinds) > 0 && !slices.Contains(m.sel.Kinds, kind) {
		return false
	}
	ok, known := m.series[g.series]
	if !known {
		ok = m.matchesSeries(g.series)
		m.series[g.series] = ok
	}
	return ok
}

func (m *matcher) matchesSeries(s *profile.Series) bool {
	switch {
	case s.Tenant != m.sel.Tenant,
		m.sel.Service != "" && s.Service != m.sel.Service,
		m.sel.AgentID != nil && s.AgentID() != *m.sel.AgentID:
		return false
	}
	for i, x := range m.sel.Matchers {
		value := s.Label(x.Name)
		var ok bool
		switch x.Op {
		case profilestore.MatchEqual:
			ok = value == x.Value
		case profilestore.MatchNotEqual:
			ok = value != x.Value
		case profilestore.MatchRegexp:
			ok = m.regexp[i].MatchString(value)
		case profilestore.MatchNotRegexp:
			ok = !m.regexp[i].MatchString(value)
		}
		if !ok {
			return false
		}
	}
	return true
}
