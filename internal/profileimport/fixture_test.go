package profileimport

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	pprof "github.com/google/pprof/profile"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/internal/pprofwire"
	"github.com/aperture-collector/aperture-collector/internal/profile"
)

// recording is of testdata/Work.java, by JDK 17 with settings=none and only the events
// enabled that are read. What is expected of it is what the JDK's own `jfr` tool
// prints.
func recording(tb testing.TB) []byte {
	tb.Helper()
	f, err := os.Open(filepath.Join("testdata", "work.jfr.gz"))
	require.NoError(tb, err)
	defer f.Close()
	data, err := Read(f, MaxSize)
	require.NoError(tb, err)
	return data
}

// small is a profile of two stacks, as pprof writes it, inflated.
func small(tb testing.TB) []byte {
	tb.Helper()
	app := &pprof.Mapping{ID: 1, Start: 0x1000, Limit: 0x2000, File: "/bin/app", BuildID: "abc", HasFunctions: true}
	functions := []*pprof.Function{{ID: 1, Name: "leaf"}, {ID: 2, Name: "root"}, {ID: 3, Name: "outer"}}
	leaf := &pprof.Location{ID: 1, Mapping: app, Address: 0x1800, Line: []pprof.Line{{Function: functions[0], Line: 3}}}
	// root is inlined into outer.
	root := &pprof.Location{ID: 2, Line: []pprof.Line{{Function: functions[1]}, {Function: functions[2], Line: 7}}}
	p := &pprof.Profile{
		SampleType: []*pprof.ValueType{{Type: "samples", Unit: "count"}, {Type: "cpu", Unit: "nanoseconds"}},
		PeriodType: &pprof.ValueType{Type: "cpu", Unit: "nanoseconds"}, Period: 10, TimeNanos: 1_700_000_000_000_000_000,
		Mapping: []*pprof.Mapping{app}, Function: functions, Location: []*pprof.Location{leaf, root},
	}
	for i, stack := range [][]*pprof.Location{{leaf, root}, {root}} {
		n := int64(3 - i)
		p.Sample = append(p.Sample, &pprof.Sample{
			Location: stack, Value: []int64{n, 10 * n}, Label: map[string][]string{"region": {"eu"}}, NumLabel: map[string][]int64{"bytes": {64}},
		})
	}
	var out bytes.Buffer
	require.NoError(tb, p.WriteUncompressed(&out))
	return out.Bytes()
}

// built returns what b built.
func built(tb testing.TB, b *builder) *pprofwire.Profile {
	tb.Helper()
	p, err := b.profile()
	require.NoError(tb, err)
	return p
}

// text writes the frames of a sample, each with its line.
func text(p *pprofwire.Profile, s pprofwire.Sample) []string {
	var all []string
	for _, l := range s.Locations {
		if len(p.Lines(l)) == 0 {
			all = append(all, fmt.Sprintf("%#x", p.Locations[l].Address))
		}
		for _, line := range p.Lines(l) {
			all = append(all, fmt.Sprintf("%s:%d", p.String(p.Functions[line.Function].Name), line.Line))
		}
	}
	return all
}

// split converts profiles and takes them apart as the collector does.
func split(tb testing.TB, o Options, profiles ...*pprofwire.Profile) []*profile.Groups {
	tb.Helper()
	if o.Time.IsZero() {
		o.Time = time.Unix(1_700_000_000, 0)
	}
	var all []*profile.Groups
	for _, p := range profiles {
		parts, err := Convert(p, o)
		require.NoError(tb, err)
		for _, part := range parts {
			g, err := profile.Split(part, time.Hour, profile.Limits{})
			require.NoError(tb, err)
			all = append(all, g)
		}
	}
	return all
}

// sums are the totals of each kind and type of groups, and the number of
// observations.
func sums(groups []*profile.Groups) map[string]map[string]int64 {
	all := make(map[string]map[string]int64)
	for _, gs := range groups {
		for _, g := range gs.Groups {
			if all[g.Kind] == nil {
				all[g.Kind] = make(map[string]int64)
			}
			all[g.Kind]["observations"] += int64(g.Events())
			for _, e := range g.Entries {
				for i, t := range g.Types {
					all[g.Kind][t.Type] += e.Values[i]
				}
			}
		}
	}
	return all
}
