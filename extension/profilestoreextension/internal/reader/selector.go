package reader

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chconn"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/layout"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/schema"
	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// maxMatchers bounds the conditions of one query.
const maxMatchers = 64

// scan says which rows of which tables answer a selector. Conditions hold
// placeholders only; the values are in params.
type scan struct {
	params chconn.Params
	// filter holds for the rows of every table, series for those of profiles
	// only; it is empty without a filter by series.
	filter, series string
	// hours is the time condition for the hourly tables, raw that for profiles;
	// a table whose condition is empty is not read.
	hours, raw string
	// firstHour and lastHour are the hours since 1970 that hours is about; the
	// last is not one of them.
	firstHour, lastHour int64
	// names is the condition for the hours that overlap the time, as far as
	// they are not whole in it.
	names string
	empty bool
}

func newScan(tables schema.Options, sel profilestore.Selector) (*scan, error) {
	if sel.Tenant == "" {
		return nil, fmt.Errorf("%w: tenant is empty; every query needs one", profile.ErrInvalid)
	}
	s := &scan{filter: "tenant = {tenant:String}"}
	s.params.String("tenant", sel.Tenant)
	if sel.Service != "" {
		s.filter += " AND service = {service:String}"
		s.params.String("service", sel.Service)
	}
	if err := s.bySeries(tables, sel); err != nil {
		return nil, err
	}
	if len(sel.Kinds) > 0 {
		s.filter += " AND kind IN {kinds:Array(String)}"
		s.params.Strings("kinds", sel.Kinds)
	}
	s.times(sel)
	return s, nil
}

// bySeries adds the conditions on labels, which are kept by series.
func (s *scan) bySeries(tables schema.Options, sel profilestore.Selector) error {
	conditions, err := LabelConditions(sel, &s.params)
	if err != nil {
		return err
	}
	if conditions != "" {
		s.series = "series IN (SELECT series FROM " + tables.Table("series") + " WHERE " + s.filter + " AND " + conditions + ")"
	}
	return nil
}

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
		label := "labels[{" + name + ":String}]"
		operand := "{" + value + ":String}"
		params.String(name, m.Name)
		var condition string
		switch m.Op {
		case profilestore.MatchEqual:
			condition = label + " = " + operand
		case profilestore.MatchNotEqual:
			condition = label + " != " + operand
		case profilestore.MatchRegexp, profilestore.MatchNotRegexp:
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

// times splits the time into whole hours, which the hourly tables answer, and
// what is left at both ends.
func (s *scan) times(sel profilestore.Selector) {
	start, end := max(sel.Start, 0), sel.End
	if end == 0 || end > layout.MaxTime {
		end = layout.MaxTime
	}
	if start >= end {
		s.empty = true
		return
	}
	firstHour := (start + layout.Hour - 1) / layout.Hour
	lastHour := end / layout.Hour // the first that is not whole
	unbounded := end == layout.MaxTime
	if unbounded {
		lastHour++
	}
	s.bound("w0", "w1", start/layout.Hour, (end+layout.Hour-1)/layout.Hour, &s.names)
	if s.series != "" || firstHour >= lastHour {
		s.raw = s.between("r0", "r1", start, end)
		return
	}
	s.firstHour, s.lastHour = firstHour, lastHour
	s.bound("h0", "h1", firstHour, lastHour, &s.hours)
	var edges []string
	if start < firstHour*layout.Hour {
		edges = append(edges, s.between("r0", "r1", start, firstHour*layout.Hour))
	}
	if !unbounded && lastHour*layout.Hour < end {
		edges = append(edges, s.between("r2", "r3", lastHour*layout.Hour, end))
	}
	if len(edges) > 0 {
		s.raw = "(" + strings.Join(edges, " OR ") + ")"
	}
}

func (s *scan) between(from, to string, start, end int64) string {
	s.params.Int(from, start)
	s.params.Int(to, end)
	return "(time >= fromUnixTimestamp64Nano({" + from + ":Int64}, 'UTC') AND time < fromUnixTimestamp64Nano({" + to + ":Int64}, 'UTC'))"
}

// bound writes a condition on hours, numbered since 1970.
func (s *scan) bound(from, to string, first, end int64, out *string) {
	const last = 1<<32 - 1
	s.params.Int(from, first*3600)
	s.params.Int(to, min(end*3600-1, last))
	*out = "hour >= toDateTime({" + from + ":Int64}, 'UTC') AND hour <= toDateTime({" + to + ":Int64}, 'UTC')"
}

// where joins the conditions for the table profiles.
func (s *scan) whereRaw() string {
	out := s.filter + " AND " + s.raw
	if s.series != "" {
		out += " AND " + s.series
	}
	return out
}

func (s *scan) whereHours() string { return s.filter + " AND " + s.hours }
