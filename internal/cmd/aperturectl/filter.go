package main

import (
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/pflag"
)

// filters are the flags that say which profiles are meant.
type filters struct {
	flags            *pflag.FlagSet
	service, agent   string
	labels           []string
	kind             string
	limit            int64
	since            string
	from, to         string
	labelNames       []string // checked, parallel to labelValues
	labelValues      []string
	firstNS, finalNS int64 // inclusive; 0 is open
	defaultKind      string
}

func (f *filters) register(flags *pflag.FlagSet) {
	f.flags = flags
	flags.StringVar(&f.service, "service", "", "this `service` only (service.name)")
	flags.StringVar(&f.agent, "agent", "", "this `agent` only")
	flags.StringArrayVar(&f.labels, "label", nil, "`name=value` that a label must have; several must all hold")
	flags.StringVar(&f.kind, "type", f.defaultKind, "`kind` of profile: cpu, off_cpu, lock, syscall or any other that is stored")
	flags.Int64Var(&f.limit, "limit", 0, "`number` of stacks, the largest ones (default: the server's)")
	f.registerTime(flags)
}

func (f *filters) registerTime(flags *pflag.FlagSet) {
	f.flags = flags
	flags.StringVar(&f.since, "since", "", "only the last `duration`, such as 90s, 15m, 1h or 7d")
	flags.StringVar(&f.from, "from", "", "first `time`: RFC 3339, Unix ms or ns, or -15m from now")
	flags.StringVar(&f.to, "to", "", "last `time`, as --from")
}

// parse checks the flags.
func (f *filters) parse(now time.Time) error {
	for _, l := range f.labels {
		name, value, err := parseLabel(l)
		if err != nil {
			return err
		}
		f.labelNames, f.labelValues = append(f.labelNames, name), append(f.labelValues, value)
	}
	if f.limit < 0 {
		return usagef("--limit must be at least 0, got %d", f.limit)
	}
	err := firstError(checkUTF8("--service", f.service), checkUTF8("--agent", f.agent), checkUTF8("--type", f.kind))
	if err != nil {
		return err
	}
	f.firstNS, f.finalNS, err = parseRange(now, f.since, f.from, f.to)
	return err
}

// parseLabel takes a --label apart.
func parseLabel(text string) (name, value string, err error) {
	name, value, ok := strings.Cut(text, "=")
	if !ok || name == "" {
		return "", "", usagef("--label must be name=value, got %q", text)
	}
	return name, value, checkUTF8("--label", text)
}

// checkUTF8 refuses what neither JSON nor protobuf can carry as it is.
func checkUTF8(flag, value string) error {
	if !utf8.ValidString(value) {
		return usagef("%s must be valid UTF-8, got %q", flag, value)
	}
	return nil
}

// checkRows checks the --rows of a table.
func checkRows(n int) error {
	if n < 0 {
		return usagef("--rows must be at least 0, got %d", n)
	}
	return nil
}

// changed reports whether a flag was given.
func (f *filters) changed(name string) bool { return f.flags.Changed(name) }

// object returns the filters as keys of a JSON object.
func (f *filters) object() map[string]any {
	o := make(map[string]any)
	f.set(func(name, value string) { o[name] = value }, func(name string, value int64) { o[name] = value })
	if len(f.labelNames) > 0 {
		labels := make(map[string]string)
		for i, n := range f.labelNames {
			labels[n] = f.labelValues[i]
		}
		o["labels"] = labels
	}
	return o
}

// params returns the filters as parameters.
func (f *filters) params() url.Values {
	v := make(url.Values)
	f.set(func(name, value string) { v.Set(name, value) }, func(name string, value int64) { v.Set(name, strconv.FormatInt(value, 10)) })
	for i, n := range f.labelNames {
		v.Add("label."+n, f.labelValues[i])
	}
	return v
}

func (f *filters) set(text func(name, value string), number func(name string, value int64)) {
	if f.service != "" {
		text("service", f.service)
	}
	if f.changed("agent") {
		text("agent_id", f.agent)
	}
	if f.kind != "" {
		text("event_type", f.kind)
	}
	if f.changed("limit") {
		number("limit", f.limit)
	}
	if f.firstNS != 0 {
		number("time_start_ns", f.firstNS)
	}
	if f.finalNS != 0 {
		number("time_end_ns", f.finalNS)
	}
}
