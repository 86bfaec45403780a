package integration

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/internal/clickhousetest"
	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// injections are texts that end literals, comments and statements in every way, that
// no literal can hold, that are not text at all, and that are long.
var injections = map[string]string{
	"quotes":       `x' OR '1'='1' -- ' /* " \' OR 1=1 # ; DROP TABLE chunks; */ \\' UNION ALL SELECT 1 -- ` + "`",
	"placeholders": "{tenant:String} {x:Identifier} $1 ?, %s ['a', 'b'] )",
	"bytes":        "nul\x00 \xff\xfe \\N \\\\N \r\n\t \u2028 \x1a",
	"megabyte":     strings.Repeat(`\'"`, 1<<20/3),
}

// operations are all that can be asked, each with a text for every name that it takes.
// The results say whether anything was found.
func operations(store profilestore.Store, text string) map[string]func(context.Context, profilestore.Selector) (bool, error) {
	return map[string]func(context.Context, profilestore.Selector) (bool, error){
		"merge": func(ctx context.Context, sel profilestore.Selector) (bool, error) {
			m, err := store.MergeStacks(ctx, sel, profilestore.MergeOptions{ByLock: true, BySyscall: true})
			return err == nil && len(m.Kinds) > 0, err
		},
		"count": func(ctx context.Context, sel profilestore.Selector) (bool, error) {
			n, err := store.CountEvents(ctx, sel)
			return n > 0, err
		},
		"series": func(ctx context.Context, sel profilestore.Selector) (bool, error) {
			s, err := store.Series(ctx, sel, profilestore.SeriesOptions{By: []string{text, "service.name"}, Step: int64(time.Minute)})
			return len(s) > 0, err
		},
		"top": func(ctx context.Context, sel profilestore.Selector) (bool, error) {
			f, err := store.TopFunctions(ctx, sel, profilestore.TopOptions{})
			return len(f) > 0, err
		},
		"profiles": func(ctx context.Context, sel profilestore.Selector) (bool, error) {
			p, err := store.Profiles(ctx, sel, 10)
			return len(p) > 0, err
		},
		"each": func(ctx context.Context, sel profilestore.Selector) (bool, error) {
			found := false
			err := store.EachProfile(ctx, sel, func(*profilestore.Profile, []profilestore.Sample) error { found = true; return nil })
			return found, err
		},
		"heatmap": func(ctx context.Context, sel profilestore.Selector) (bool, error) {
			h, err := store.Heatmap(ctx, sel, int64(time.Minute), 0)
			return len(h) > 0, err
		},
		"exemplars": func(ctx context.Context, sel profilestore.Selector) (bool, error) {
			x, err := store.Exemplars(ctx, sel, profilestore.ExemplarOptions{Limit: 10})
			return len(x) > 0, err
		},
		"types": func(ctx context.Context, sel profilestore.Selector) (bool, error) {
			p, err := store.ProfileTypes(ctx, sel)
			return len(p) > 0, err
		},
		"names": func(ctx context.Context, sel profilestore.Selector) (bool, error) {
			n, err := store.LabelNames(ctx, sel, 100)
			return len(n) > 0, err
		},
		"values": func(ctx context.Context, sel profilestore.Selector) (bool, error) {
			v, err := store.LabelValues(ctx, sel, text, 100)
			return len(v) > 0, err
		},
		"sets": func(ctx context.Context, sel profilestore.Selector) (bool, error) {
			s, err := store.LabelSets(ctx, sel, []string{text, "service.name"}, 100)
			return len(s) > 0, err
		},
		"range": func(ctx context.Context, sel profilestore.Selector) (bool, error) {
			first, last, err := store.TimeRange(ctx, sel)
			return first != 0 || last != 0, err
		},
		"batches": func(ctx context.Context, sel profilestore.Selector) (bool, error) {
			b, err := store.Batches(ctx, sel, 10)
			return len(b) > 0, err
		},
	}
}

// hostileSelectors have the text in one place each. Nothing fits to any of them.
func hostileSelectors(text string) map[string]profilestore.Selector {
	with := func(change func(*profilestore.Selector)) profilestore.Selector {
		sel := profilestore.Selector{Tenant: "t1", Start: base - hour, End: base + hour}
		change(&sel)
		return sel
	}
	match := func(name, value string, op profilestore.MatchOp) profilestore.Selector {
		return with(func(s *profilestore.Selector) {
			s.Matchers = []profilestore.Matcher{{Name: name, Value: value, Op: op}}
		})
	}
	return map[string]profilestore.Selector{
		"tenant":      with(func(s *profilestore.Selector) { s.Tenant = text }),
		"service":     with(func(s *profilestore.Selector) { s.Service = text }),
		"kind":        with(func(s *profilestore.Selector) { s.Kinds = []string{text, "none"} }),
		"period type": with(func(s *profilestore.Selector) { s.PeriodType = &profile.ValueType{Type: text, Unit: text} }),
		"agent":       with(func(s *profilestore.Selector) { s.AgentID = &text }),
		"name":        match(text, "x", profilestore.MatchEqual),
		"value":       match("service.name", text, profilestore.MatchEqual),
		"not":         match(text, "", profilestore.MatchNotEqual),
		"regexp":      match("service.name", text+"|x", profilestore.MatchRegexp),
		"name of one": match(text, ".+", profilestore.MatchRegexp),
		"not regexp":  match("service.name", "(?s:.*)|"+text, profilestore.MatchNotRegexp),
	}
}

// notNarrowed are the parts of a selector that an operation does not know: it is
// answered as without them.
var notNarrowed = map[string][]string{
	"names": {"kind", "period type"}, "values": {"kind", "period type"}, "sets": {"kind", "period type"},
	"range":   {"agent", "name", "value", "not", "regexp", "name of one", "not regexp"},
	"batches": {"service", "kind", "period type", "name", "value", "not", "regexp", "name of one", "not regexp"},
}

// TestInjection puts hostile texts into every place of every question: each is text to
// the server, that fits to nothing, or refused as what it is.
func TestInjection(t *testing.T) {
	store, server, database := newStore(t)
	ctx := t.Context()
	require.NoError(t, store.Write(ctx, newSource(t, 41).window(base, time.Second, 5, origin{"t1", "api", "agent", map[string]string{"plain": "x"}})))
	state := func() string {
		return clickhousetest.Exec(t, server, "SELECT name, total_rows FROM system.tables WHERE database = '"+database+
			"' AND name NOT LIKE '%lease%' AND name NOT LIKE 'alert%' ORDER BY name")
	}
	before := state()
	for name, f := range operations(store, "service.name") {
		found, err := f(ctx, profilestore.Selector{Tenant: "t1", Start: base - hour, End: base + hour, Matchers: []profilestore.Matcher{{Name: "service.name", Value: "a.i", Op: profilestore.MatchRegexp}}})
		require.NoError(t, err, name)
		require.Equal(t, name != "exemplars", found, "%s finds what is there", name)
	}
	for kind, text := range injections {
		for at, sel := range hostileSelectors(text) {
			for name, f := range operations(store, text) {
				if kind == "megabyte" && name != "count" && name != "values" && name != "batches" {
					continue // a megabyte goes the same way, and takes its time
				}
				where := kind + " as " + at + " of " + name
				found, err := f(ctx, sel)
				if err != nil {
					assert.True(t, errors.Is(err, profile.ErrInvalid) || errors.Is(err, profilestore.ErrLimit), "%s: %.500v", where, err)
					continue
				}
				known := true
				for _, part := range notNarrowed[name] {
					known = known && part != at
				}
				if known {
					assert.False(t, found, where)
				}
			}
		}
	}
	assert.Equal(t, before, state())

	// What the server cannot compile is no fault of its own, and long ones do not get there.
	for want, value := range map[string]string{
		"the limit of a regular expression is 65536": strings.Repeat("x", 1<<16+1),
		"cannot compile re2":                         strings.Repeat(`\pL{1000}`, 1000),
	} {
		_, err := store.CountEvents(ctx, profilestore.Selector{Tenant: "t1", Matchers: []profilestore.Matcher{{Name: "x", Value: value, Op: profilestore.MatchRegexp}}})
		require.ErrorIs(t, err, profile.ErrInvalid)
		assert.ErrorContains(t, err, want)
	}
}
