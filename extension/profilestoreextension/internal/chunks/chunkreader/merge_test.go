package chunkreader

import (
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chconn"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/chunkrow"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/chunktest"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/chunkwriter"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/layout"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/reader"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/schema"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/writer"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

func newReader(pool *chconn.Pool, o schema.Options, buffer int) *Reader {
	return New(pool, Options{
		Options: reader.Options{
			Tables: o, MaxExecutionTime: time.Minute, MaxMemoryUsage: 1 << 30, MaxRows: 1 << 20,
			MaxStacks: 100_000, StackCacheSize: 16 << 20,
		},
		DeleteDelay: 10 * time.Minute, BufferBytes: buffer,
	})
}

// store is a table with windows in it, of six hours from an hour before Base on.
type store struct {
	pool *chconn.Pool
	o    schema.Options
	reference
	merges map[[2]string][]wantKind
}

// merged is merge, computed once.
func (s *store) merged(sel, opts string) []wantKind {
	m, ok := s.merges[[2]string{sel, opts}]
	if !ok {
		m = s.merge(selectors()[sel], mergeOptions[opts])
		s.merges[[2]string{sel, opts}] = m
	}
	return m
}

func newStore(t *testing.T) *store {
	t.Helper()
	s := &store{merges: make(map[[2]string][]wantKind)}
	s.pool, s.o = chunktest.Open(t)
	w := chunkwriter.New(s.pool, writer.Options{Tables: s.o, KnownEntries: 100_000})
	src := chunktest.NewSource(1)
	for i := range int64(12) {
		win := src.Window(chunktest.Base+(i-2)*layout.Hour/2, 90*chunktest.Second, 50)
		require.NoError(t, w.Write(t.Context(), win))
		s.windows = append(s.windows, win)
	}
	return s
}

// compact makes rows of higher levels: of half of the keys one of level 1, of a
// third one of level 2 out of everything, so that all combinations are there.
func (s *store) compact(t *testing.T) {
	t.Helper()
	byKey := map[chunkrow.Key][]*chunkrow.Row{}
	for _, r := range chunktest.ReadRows(t, s.pool, s.o, chunkrow.All) {
		byKey[r.Key] = append(byKey[r.Key], r)
	}
	var rows []*chunkrow.Row
	n := 0
	for _, rs := range byKey {
		if n++; n%2 == 0 {
			r := compacted(t, chunkrow.Minutes, 1, rs[:1+len(rs)/2])
			rows, rs = append(rows, r), append(rs[1+len(rs)/2:], r)
		}
		if n%3 == 0 {
			rows = append(rows, compacted(t, chunkrow.ClosedHour, 2, rs))
		}
	}
	insert(t, s.pool, s.o, rows...)
}

// repeat inserts rows that are there again: all of level 0, as if their tokens had
// been forgotten, and those of other levels as a second compactor might have made
// them, of less.
func (s *store) repeat(t *testing.T) {
	t.Helper()
	var again []*chunkrow.Row
	byID := map[uint64]*chunkrow.Row{}
	all := chunktest.ReadRows(t, s.pool, s.o, chunkrow.All)
	for _, r := range all {
		byID[r.ID] = r
	}
	for _, r := range all {
		if r.Level > chunkrow.Written {
			second := compacted(t, r.Level, r.Seq, []*chunkrow.Row{byID[r.Covers[0]]})
			second.Nonce.High = 1
			r = second
		}
		again = append(again, r)
	}
	insert(t, s.pool, s.o, again...)
}

func selectors() map[string]profilestore.Selector {
	const base, hour = chunktest.Base, layout.Hour
	agent, none := "agent-1", ""
	match := func(op profilestore.MatchOp, name, value string) []profilestore.Matcher {
		return []profilestore.Matcher{{Name: name, Value: value, Op: op}}
	}
	return map[string]profilestore.Selector{
		"all":            {Tenant: "anonymous"},
		"other tenant":   {Tenant: "other"},
		"no such tenant": {Tenant: "nobody"},
		"service":        {Tenant: "anonymous", Service: "service-1"},
		"no service":     {Tenant: "anonymous", Service: "service-9"},
		"kinds":          {Tenant: "anonymous", Kinds: []string{"cpu", "lock"}},
		"service kind":   {Tenant: "anonymous", Service: "service-0", Kinds: []string{"memory"}},
		"agent":          {Tenant: "anonymous", Service: "service-1", AgentID: &agent},
		"without agent":  {Tenant: "anonymous", AgentID: &none},
		"pod":            {Tenant: "anonymous", Service: "service-2", Matchers: match(profilestore.MatchEqual, "k8s.pod.name", "pod-1")},
		"pod of all":     {Tenant: "anonymous", Matchers: match(profilestore.MatchEqual, "k8s.pod.name", "pod-1")},
		"absent label":   {Tenant: "anonymous", Service: "service-0", Matchers: match(profilestore.MatchEqual, "region", "")},
		"not":            {Tenant: "anonymous", Service: "service-0", Matchers: match(profilestore.MatchNotEqual, "k8s.pod.name", "pod-0")},
		"regexp":         {Tenant: "anonymous", Service: "service-0", Matchers: match(profilestore.MatchRegexp, "k8s.pod.name", "pod-(1|2)")},
		"anchored":       {Tenant: "anonymous", Service: "service-0", Matchers: match(profilestore.MatchRegexp, "k8s.pod.name", "pod")},
		"not regexp":     {Tenant: "anonymous", Service: "service-0", Matchers: match(profilestore.MatchNotRegexp, "k8s.pod.name", ".*-0")},
		"whole hours":    {Tenant: "anonymous", Service: "service-0", Start: base, End: base + 2*hour},
		"edges":          {Tenant: "anonymous", Service: "service-0", Start: base - hour/2 + 30*chunktest.Second, End: base + hour + hour/2 + 20*chunktest.Second},
		"edges of all":   {Tenant: "anonymous", Start: base - hour/2 + 30*chunktest.Second, End: base + hour + hour/2 + 20*chunktest.Second},
		"left edge":      {Tenant: "anonymous", Service: "service-1", Start: base + 1, End: base + 2*hour},
		"in an hour":     {Tenant: "anonymous", Service: "service-1", Start: base + 10*chunktest.Second, End: base + 60*chunktest.Second},
		"after":          {Tenant: "anonymous", Start: base + hour},
		"before":         {Tenant: "anonymous", End: base + hour + 7*chunktest.Second},
		"nothing":        {Tenant: "anonymous", Start: base + 100*hour},
		"backwards":      {Tenant: "anonymous", Start: base + hour, End: base},
		"all of it":      {Tenant: "anonymous", Service: "service-1", Kinds: []string{"syscall"}, AgentID: &agent, Matchers: match(profilestore.MatchRegexp, "k8s.pod.name", "pod-.*"), Start: base, End: base + hour/2 + 40*chunktest.Second},
	}
}

var mergeOptions = map[string]profilestore.MergeOptions{
	"stacks":   {},
	"locks":    {ByLock: true},
	"calls":    {BySyscall: true},
	"no stack": {NoStacks: true, BySyscall: true, ByLock: true},
	"sums":     {NoStacks: true},
	"outcomes": {SyscallRows: true, ByLock: true, BySyscall: true},
}

// compare asks everything of a reader and compares with the reference: with each
// selector one of so many of the options, others with the next.
func (s *store) compare(t *testing.T, r *Reader, turn, of int) {
	t.Helper()
	for _, name := range slices.Sorted(maps.Keys(selectors())) {
		sel := selectors()[name]
		n, err := r.CountEvents(t.Context(), sel)
		require.NoError(t, err, name)
		require.Equal(t, s.count(sel), n, name)
		for _, oname := range slices.Sorted(maps.Keys(mergeOptions)) {
			if turn++; turn%of != 0 {
				continue
			}
			m, err := r.MergeStacks(t.Context(), sel, mergeOptions[oname])
			require.NoError(t, err, name)
			require.Equal(t, s.merged(name, oname), got(m), name+", "+oname)
		}
		turn++
	}
}

// TestMergeEqualsReference compares every kind of query with a computation of its
// own, in each way of reading, with rows as written and with rows that cover
// others.
func TestMergeEqualsReference(t *testing.T) {
	s := newStore(t)
	readers := []struct {
		name   string
		buffer int
	}{{"direct", 64 << 20}, {"by header", 0}, {"both", 10_000}}
	t.Run("written", func(t *testing.T) { s.compare(t, newReader(s.pool, s.o, 64<<20), 0, 6) })
	t.Run("written/limit", s.compareLimited)
	s.compact(t)
	t.Run("compacted/limit", s.compareLimited)
	for turn, r := range readers {
		t.Run("compacted/"+r.name, func(t *testing.T) { s.compare(t, newReader(s.pool, s.o, r.buffer), turn, 3) })
	}
	s.repeat(t)
	for turn, r := range readers {
		t.Run("repeated/"+r.name, func(t *testing.T) { s.compare(t, newReader(s.pool, s.o, r.buffer), turn+1, 6) })
	}
	t.Run("repeated/limit", s.compareLimited)
}

// compareLimited asks for the largest rows, which ClickHouse finds if it sums
// everything.
func (s *store) compareLimited(t *testing.T) {
	for _, name := range []string{"all", "after", "edges of all", "service"} {
		sel := selectors()[name]
		for _, limit := range []int{1, 5, 50} {
			m, err := newReader(s.pool, s.o, 64<<20).MergeStacks(t.Context(), sel, profilestore.MergeOptions{MaxStacks: limit})
			require.NoError(t, err)
			all := s.merge(sel, profilestore.MergeOptions{})
			for i := range all {
				all[i].Rows = all[i].Rows[:min(limit, len(all[i].Rows))]
			}
			require.Equal(t, all, got(m), "%s, %d", name, limit)
		}
	}
}
