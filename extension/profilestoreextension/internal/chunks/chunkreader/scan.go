package chunkreader

import (
	"fmt"
	"maps"
	"slices"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chconn"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/layout"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/reader"
	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// scan says which rows answer a selector. Conditions hold placeholders for what
// callers gave; the values are in params.
type scan struct {
	tenant, service string
	params          chconn.Params
	// filter holds for rows of every table, kinds and alive (that their retention is
	// not over) for those of chunks only, labels for those of series only; all but
	// the first may be empty.
	filter, kinds, alive, labels string
	kindNames                    []string
	// labelKey names labels with their parameters.
	labelKey string
	// start and end bound the begin of profiles, in Unix nanoseconds.
	start, end int64
	// whole are the hours of which every profile is selected, cut the others.
	whole hours
	cut   []hours
}

// hours are those since 1970 from first on, end is not one of them.
type hours struct{ first, end int64 }

func (h hours) empty() bool { return h.first >= h.end }

// newScan returns a scan; one without hours has no rows.
func (r *Reader) newScan(sel profilestore.Selector) (*scan, error) {
	if sel.Tenant == "" {
		return nil, fmt.Errorf("%w: tenant is empty; every query needs one", profile.ErrInvalid)
	}
	s := &scan{tenant: sel.Tenant, service: sel.Service, filter: "tenant = {tenant:String}"}
	s.params.String("tenant", sel.Tenant)
	if sel.Service != "" {
		s.filter += " AND service = {service:String}"
		s.params.String("service", sel.Service)
	}
	if len(sel.Kinds) > 0 {
		s.kinds = " AND kind IN {kinds:Array(String)}"
		s.params.Strings("kinds", sel.Kinds)
		s.kindNames = sel.Kinds
	}
	if sel.Types != nil {
		s.kinds += " AND types = {types:String}"
		s.params.String("types", layout.EncodeTypes(sel.Types))
	}
	if sel.PeriodType != nil {
		s.kinds += " AND period_type = {period_type:String}"
		s.params.String("period_type", layout.EncodeType(*sel.PeriodType))
	}
	if l := r.opts.Lifetimes; l != nil {
		s.alive = " AND " + l.Alive(sel.Tenant, sel.Service, &s.params)
	}
	var err error
	var params chconn.Params
	if s.labels, err = reader.LabelConditions(sel, &params); err != nil {
		return nil, err
	}
	s.labelKey = s.labels + params.Key()
	s.params.Append(&params)
	s.times(sel)
	return s, nil
}

// narrow leaves out rows of other services, if they are not too many to name.
func (s *scan) narrow(services map[string]struct{}) {
	names := slices.Sorted(maps.Keys(services))
	switch {
	case s.service != "" || len(names) > maxServices:
	case len(names) == 1 && names[0] != "":
		s.service = names[0]
		s.filter += " AND service = {service:String}"
		s.params.String("service", names[0])
	default:
		s.filter += " AND service IN {services:Array(String)}"
		s.params.Strings("services", names)
	}
}

// maxServices bounds the names of services in one query.
const maxServices = 1000

// times tells hours that lie in the time of a selector from those that it cuts.
func (s *scan) times(sel profilestore.Selector) {
	s.start, s.end = max(sel.Start, 0), sel.End
	if s.end == 0 || s.end > layout.MaxTime {
		s.end = layout.MaxTime
	}
	if s.start >= s.end {
		return
	}
	all := hours{s.start / layout.Hour, (s.end + layout.Hour - 1) / layout.Hour}
	whole := hours{(s.start + layout.Hour - 1) / layout.Hour, s.end / layout.Hour}
	if s.end == layout.MaxTime {
		whole.end = all.end
	}
	switch {
	case s.labels != "" || whole.empty():
		s.cut = []hours{all}
		return
	case all.first < whole.first:
		s.cut = append(s.cut, hours{all.first, whole.first})
	}
	if whole.end < all.end {
		s.cut = append(s.cut, hours{whole.end, all.end})
	}
	s.whole = whole
}

// hasTime reports whether a profile that begins at t is in the time asked for.
func (s *scan) hasTime(t int64) bool { return t >= s.start && t < s.end }

// of is the condition for the rows of chunks in these hours.
func (s *scan) of(h hours) string {
	const last = 1<<32 - 1
	return fmt.Sprintf("%s%s%s AND hour >= %d AND hour <= %d", s.filter, s.kinds, s.alive, h.first*3600, min(h.end*3600-1, last))
}

// ofCut is of for hours that are cut. It leaves out rows that have nothing to do
// with the time, and with them everything that they cover.
func (s *scan) ofCut(h hours) string {
	out := s.of(h)
	if s.end < h.end*layout.Hour {
		out += fmt.Sprintf(" AND first_time < fromUnixTimestamp64Nano(%d, 'UTC')", s.end)
	}
	if s.start > h.first*layout.Hour {
		out += fmt.Sprintf(" AND last_time >= fromUnixTimestamp64Nano(%d, 'UTC')", s.start)
	}
	return out
}
