package profilerule

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/internal/aggregate"
	"github.com/aperture-collector/aperture-collector/internal/alert"
	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

const (
	benchServices = 50
	benchRules    = 1000
	benchStacks   = 2000
	benchDepth    = 30
	// benchMost is the most processor time that 1,000 rules may take.
	benchMost = time.Second
)

// BenchmarkEvaluate evaluates 1,000 rules over 50 services, each with 2,000 stacks
// of 30 frames in a window and in the one before. It reports the processor time of
// all that, the merging included.
func BenchmarkEvaluate(b *testing.B) {
	var stacks [benchServices][][]string
	recent := aggregate.NewRecent(time.Hour, 1<<34)
	table := aggregate.NewTable(1 << 34)
	for i := range stacks {
		stacks[i] = benchProfiles(b, i, recent, table)
	}
	rules, want := benchWant(b, &stacks)
	e := evaluator(recent)
	var got []alert.Result
	var used time.Duration
	b.ReportAllocs()
	for b.Loop() {
		before := processorTime(b)
		got = e.Evaluate(b.Context(), now, rules)
		used += processorTime(b) - before
	}
	b.ReportMetric(float64(used.Milliseconds())/float64(b.N), "cpu-ms/op")
	if used/time.Duration(b.N) > benchMost {
		b.Fatalf("an evaluation takes %s of processor time; the limit is %s", used/time.Duration(b.N), benchMost)
	}
	for i, res := range got {
		require.NoError(b, res.Err, i)
		require.InDelta(b, want[i], res.Value, 1e-9, i)
	}
}

func processorTime(tb testing.TB) time.Duration {
	tb.Helper()
	var u syscall.Rusage
	require.NoError(tb, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// benchProfiles adds a service and returns its stacks, root first. Each was seen
// once in the window and once before; from 1,000 on, twice in the window.
func benchProfiles(tb testing.TB, service int, recent *aggregate.Recent, table *aggregate.Table) [][]string {
	tb.Helper()
	rnd := rand.New(rand.NewPCG(1, uint64(service)))
	b := profile.NewBuilder()
	rp := b.Profiles().ResourceProfiles().AppendEmpty()
	rp.Resource().Attributes().PutStr("service.name", benchService(service))
	p := b.AddProfile(rp.ScopeProfiles().AppendEmpty(), profile.KindCPU, profile.Types(profile.KindCPU)[0], profile.ValueType{}, 0)
	stacks := make([][]string, benchStacks)
	for i := range stacks {
		names := make([]string, benchDepth)
		for d := range names {
			names[d] = fmt.Sprintf("package%d.function%d", d, rnd.IntN(1+d*d))
		}
		stacks[i] = names
		s := p.Samples().AppendEmpty()
		s.SetStackIndex(stack(b, strings.Join(names, ";")))
		at := uint64(now.Add(-time.Minute).UnixNano())
		s.TimestampsUnixNano().Append(at, at-uint64(5*time.Minute))
		if i >= benchStacks/2 {
			s.TimestampsUnixNano().Append(at)
		}
	}
	groups, err := profile.Split(b.Profiles(), time.Second, profile.Limits{})
	require.NoError(tb, err)
	w := table.NewWindow(time.Second)
	w.Add(groups)
	recent.Add(w)
	return stacks
}

func benchService(i int) string { return fmt.Sprintf("service-%d", i) }

// benchWant returns the rules and their values, found by looking at each stack
// for each rule.
func benchWant(tb testing.TB, stacks *[benchServices][][]string) (rules []alert.Rule, want []float64) {
	tb.Helper()
	for i := range benchRules {
		service, n := i%benchServices, i/benchServices
		s := Spec{Service: benchService(service), Metric: FunctionShare, Function: fmt.Sprintf("package%d.function0", n)}
		has := func(names []string) bool { return strings.Contains(strings.Join(names, ";")+";", s.Function+";") }
		switch n % 4 {
		case 1:
			s.Self, s.Function = true, fmt.Sprintf("package29.function%d", n)
			has = func(names []string) bool { return names[len(names)-1] == s.Function }
		case 2:
			s.Metric, s.Stack, s.Function, s.Anywhere = StackShare, strings.Join(stacks[service][n][3:8], ";"), "", true
			has = func(names []string) bool { return strings.Contains(";"+strings.Join(names, ";")+";", ";"+s.Stack+";") }
		case 3:
			s.Metric, s.MaxPValue = ChangeVsBaseline, 1
		}
		var found, foundBefore, total int
		for at, names := range stacks[service] {
			weight := 1 + at/(benchStacks/2)
			total += weight
			if has(names) {
				found += weight
				foundBefore++
			}
		}
		value := float64(found) / float64(total)
		if s.Metric == ChangeVsBaseline {
			value -= float64(foundBefore) / benchStacks
		}
		rules, want = append(rules, rule(tb, s)), append(want, value)
	}
	return rules, want
}

// BenchmarkTake is the pass over an answer alone.
func BenchmarkTake(b *testing.B) {
	recent := aggregate.NewRecent(time.Hour, 1<<34)
	stacks := benchProfiles(b, 1, recent, aggregate.NewTable(1<<34))
	sel := profilestore.Selector{Tenant: profile.DefaultTenant, Kinds: []string{profile.KindCPU}}
	m, err := recent.MergeStacks(b.Context(), sel, profilestore.MergeOptions{})
	require.NoError(b, err)
	r := newRead(sel)
	for i := range 20 {
		r.want(&Spec{Metric: FunctionShare, Function: stacks[i][i]})
	}
	b.ReportAllocs()
	for b.Loop() {
		r.take(m)
	}
	require.Positive(b, r.foundFunctions[0].total.value)
}
