package profilerule

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// maxRows is how many of the largest stacks are looked at.
const maxRows = 100_000

// read is one query and what rules want to know of its answer.
type read struct {
	sel  profilestore.Selector
	opts profilestore.MergeOptions
	// functions and paths are the numbers of what is looked for.
	functions map[string]int32
	paths     map[path]int32

	// chosen is whether it is asked in this evaluation, begun whether it was.
	chosen, begun bool
	err           error
	// kind has no rows, and is nil if there was nothing.
	kind *profilestore.KindMerge
	// total is of what came with a stack.
	total sums
	// truncated is true if the smallest stacks were left out.
	truncated bool
	// found has what was looked for: functions, then paths.
	foundFunctions []found
	foundPaths     []sums
}

// path is a call path that is looked for, folded.
type path struct {
	folded   string
	anywhere bool
}

// sums are a first value and a number of observations.
type sums struct {
	value int64
	count uint64
}

func (s *sums) add(value int64, count uint64) {
	s.value = profile.Add(s.value, value)
	s.count = profile.AddCount(s.count, count)
}

// share returns the part of a total, 0 to 1.
func (s sums) share(total sums) float64 {
	if total.value <= 0 {
		return 0
	}
	return float64(s.value) / float64(total.value)
}

// found is what stacks with a function and stacks that end in it sum up to.
type found struct{ total, self sums }

func (f found) of(self bool) sums {
	if self {
		return f.self
	}
	return f.total
}

// selector returns the profiles that a rule is about, without their time.
func selector(tenant string, s *Spec) profilestore.Selector {
	sel := profilestore.Selector{Tenant: tenant, Service: s.Service, Kinds: []string{s.EventType}, AgentID: s.AgentID}
	for _, name := range slices.Sorted(maps.Keys(s.Labels)) {
		sel.Matchers = append(sel.Matchers, profilestore.Matcher{Name: name, Value: s.Labels[name]})
	}
	return sel
}

// readKey identifies equal selectors.
func readKey(sel *profilestore.Selector) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d %d %q %q %q", sel.Start, sel.End, sel.Tenant, sel.Service, sel.Kinds)
	if sel.AgentID != nil {
		fmt.Fprintf(&b, " agent %q", *sel.AgentID)
	}
	for _, m := range sel.Matchers {
		fmt.Fprintf(&b, " %q=%q", m.Name, m.Value)
	}
	return b.String()
}

func newRead(sel profilestore.Selector) *read {
	return &read{
		sel: sel, opts: profilestore.MergeOptions{NoStacks: true, MaxStacks: maxRows},
		functions: make(map[string]int32), paths: make(map[path]int32),
	}
}

// want notes what a rule looks for.
func (r *read) want(s *Spec) {
	switch s.Metric {
	case FunctionShare, ChangeVsBaseline:
		r.opts.NoStacks = false
		if _, ok := r.functions[s.Function]; !ok {
			r.functions[s.Function] = int32(len(r.functions))
		}
	case StackShare:
		r.opts.NoStacks = false
		p := path{s.Stack, s.Anywhere}
		if _, ok := r.paths[p]; !ok {
			r.paths[p] = int32(len(r.paths))
		}
	case SyscallP99, SyscallErrorRate:
		r.opts.BySyscall = true
	}
}

// take reads everything that rules want to know out of m in one pass.
func (r *read) take(m *profilestore.Merge) {
	k := kindOf(m, r.sel.Kinds[0])
	if k == nil {
		return
	}
	// The rows go with the answer: there may be many answers.
	kind := *k
	kind.Rows = nil
	r.kind = &kind
	r.truncated = k.TotalRows > len(k.Rows)
	r.total = sums{k.Totals[0] - k.StacklessValue, k.Events - min(k.StacklessEvents, k.Events)}
	if k.Kind == profile.KindCPU {
		// Samples of which the producer knows only the sum are no observations of
		// their own.
		r.total.count = samples(r.total.value)
	}
	if !r.opts.NoStacks {
		newMatcher(r).rows(m, k)
	}
}

// samples returns a sum of samples as a count.
func samples(v int64) uint64 { return uint64(max(v, 0)) }

// kindOf returns the observations of a kind. Others can send profiles of the same
// name with other sample types: those that the kind has are taken before the
// first that there are.
func kindOf(m *profilestore.Merge, kind string) *profilestore.KindMerge {
	own := profile.Types(kind)
	var first *profilestore.KindMerge
	for i := range m.Kinds {
		k := &m.Kinds[i]
		if k.Kind != kind {
			continue
		}
		if own == nil || len(k.Types) > 0 && k.Types[0] == own[0] {
			return k
		}
		first = cmp.Or(first, k)
	}
	return first
}
