package reader

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chconn"
	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// maxMatchers bounds the conditions of one query.
const maxMatchers = 64

// maxRegexp is the longest regular expression in bytes: the server refuses what takes
// too much memory when it is compiled.
const maxRegexp = 64 << 10

// LabelConditions returns the conditions of a selector that rows of the table
// series must meet, with placeholders whose values it adds to params; it is empty
// if there are none. The error wraps [profile.ErrInvalid].
func LabelConditions(sel profilestore.Selector, params *chconn.Params) (string, error) {
	if n := len(sel.Matchers); n > maxMatchers {
		return "", fmt.Errorf("%w: %d matchers; the limit is %d", profile.ErrInvalid, n, maxMatchers)
	}
	var conditions []string
	if sel.AgentID != nil {
		conditions = append(conditions, "labels['"+profile.AttrAgentID+"'] = {agent:String}")
		params.String("agent", *sel.AgentID)
	}
	for i, m := range sel.Matchers {
		name, value := "n"+strconv.Itoa(i), "v"+strconv.Itoa(i)
		label := labelOf(&m, name, params)
		operand := "{" + value + ":String}"
		var condition string
		switch m.Op {
		case profilestore.MatchEqual:
			condition = label + " = " + operand
		case profilestore.MatchNotEqual:
			condition = label + " != " + operand
		case profilestore.MatchRegexp, profilestore.MatchNotRegexp:
			if n := len(m.Value); n > maxRegexp {
				return "", fmt.Errorf("%w: matchers[%d].value has %d bytes; the limit of a regular expression is %d", profile.ErrInvalid, i, n, maxRegexp)
			}
			if _, err := regexp.Compile("^(?:" + m.Value + ")$"); err != nil {
				return "", fmt.Errorf("%w: matchers[%d].value is not a regular expression: %w", profile.ErrInvalid, i, err)
			}
			condition = "match(" + label + ", " + operand + ")"
			if m.Op == profilestore.MatchNotRegexp {
				condition = "NOT " + condition
			}
			// ClickHouse lets a dot match line breaks; RE2 by itself does not.
			m.Value = "(?-s)^(?:" + m.Value + ")$"
		default:
			return "", fmt.Errorf("%w: matchers[%d].op is %d; must be 0 to %d", profile.ErrInvalid, i, m.Op, profilestore.MatchNotRegexp)
		}
		params.String(value, m.Value)
		conditions = append(conditions, condition)
	}
	return strings.Join(conditions, " AND "), nil
}

// labelOf is an expression for the value of the label that m is about, with names of
// parameters that begin with prefix.
func labelOf(m *profilestore.Matcher, prefix string, params *chconn.Params) string {
	if m.Name == profilestore.LabelService {
		return "CAST(service, 'String')"
	}
	out := ""
	for i, name := range slices.Backward(append([]string{m.Name}, m.Or...)) {
		param := prefix
		if i > 0 {
			param += "_" + strconv.Itoa(i)
		}
		params.String(param, name)
		value := "labels[{" + param + ":String}]"
		if out == "" {
			out = value
		} else {
			out = "if(mapContains(labels, {" + param + ":String}), " + value + ", " + out + ")"
		}
	}
	return out
}
