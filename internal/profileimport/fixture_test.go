package profileimport

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	pprof "github.com/google/pprof/profile"
	"github.com/stretchr/testify/require"

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
	b := newPprofBuilder(profile.KindCPU, profile.ValueType{Type: "samples", Unit: "count"}, profile.ValueType{Type: "cpu", Unit: "nanoseconds"})
	b.p.Period = 10
	b.p.TimeNanos = 1_700_000_000_000_000_000
	b.p.Mapping = []*pprof.Mapping{{ID: 1, Start: 0x1000, Limit: 0x2000, File: "/bin/app", BuildID: "abc", HasFunctions: true}}
	leaf, root := b.location(locationKey{function: "leaf", line: 3}), b.location(locationKey{function: "root"})
	leaf.Mapping, leaf.Address = b.p.Mapping[0], 0x1800
	root.Line = append(root.Line, pprof.Line{Function: b.function("outer"), Line: 7}) // root is inlined into outer
	for _, s := range []struct {
		stack []*pprof.Location
		n     int64
	}{{[]*pprof.Location{leaf, root}, 3}, {[]*pprof.Location{root}, 2}} {
		sample := b.sample(s.stack)
		sample.Value[0], sample.Value[1] = s.n, 10*s.n
		sample.Label = map[string][]string{"region": {"eu"}}
		sample.NumLabel = map[string][]int64{"bytes": {64}}
	}
	var out bytes.Buffer
	require.NoError(tb, b.p.WriteUncompressed(&out))
	return out.Bytes()
}

// split converts profiles and takes them apart as the collector does.
func split(tb testing.TB, o Options, profiles ...*pprof.Profile) []*profile.Groups {
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
