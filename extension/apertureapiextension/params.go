package apertureapiextension

import (
	"net/url"
	"strconv"
	"strings"
)

// labelPrefix starts the parameters that filter by a label: label.NAME=value.
const labelPrefix = "label."

// parseParams reads the parameters of an export. Unknown ones are ignored.
func (q *query) parseParams(raw string) error {
	values, err := params(raw)
	if err != nil {
		return err
	}
	for _, p := range []struct {
		name string
		set  func(string) error
	}{
		{"agent_id", q.setAgentID},
		{"time_start_ns", intParam("time_start_ns", q.setStart)},
		{"time_end_ns", intParam("time_end_ns", q.setEnd)},
		{"limit", intParam("limit", q.setLimit)},
		{"event_type", q.setKind},
		{"service", q.setService},
		{"frame_order", q.setOrder},
	} {
		if err := param(values, p.name, p.set); err != nil {
			return err
		}
	}
	for name := range values {
		if label, ok := strings.CutPrefix(name, labelPrefix); ok {
			set := func(v string) error { return q.setLabel(label, v) }
			if err := param(values, name, set); err != nil {
				return err
			}
		}
	}
	return q.check()
}

func params(raw string) (url.Values, error) {
	values, err := url.ParseQuery(raw)
	if err != nil {
		return nil, invalid("query string", "%s", err)
	}
	return values, nil
}

// param sets a parameter if it is there, which it may be once.
func param(values url.Values, name string, set func(string) error) error {
	switch v := values[name]; len(v) {
	case 0:
		return nil
	case 1:
		return set(v[0])
	default:
		return invalid(name, "it is there %d times", len(v))
	}
}

func intParam(name string, set func(int64) error) func(string) error {
	return func(value string) error {
		v, err := strconv.ParseInt(value, 10, 64)
		if err != nil {
			return invalid(name, "it is %s; it must be an integer from 0 to 2^63-1", strconv.Quote(value[:min(len(value), 64)]))
		}
		return set(v)
	}
}
