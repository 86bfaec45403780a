package chunktable_test

import (
	"context"
	"fmt"
	"math"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/chunkrow"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/chunktest"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/chunkwriter"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/compact"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/layout"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/writer"
	"github.com/aperture-collector/aperture-collector/internal/clickhousetest"
	"github.com/aperture-collector/aperture-collector/internal/profile"
)

// sums are those of a line of either view.
type sums struct {
	n, count uint64
	values   [4]int64
	min, max int64
}

func (s sums) line(key string) string {
	lo, hi := fmt.Sprint(s.min), fmt.Sprint(s.max)
	if s.min > s.max {
		lo, hi = `\N`, `\N`
	}
	return fmt.Sprintf("%s %d %d %d %d %d %d %s %s", key, s.n, s.count, s.values[0], s.values[1], s.values[2], s.values[3], lo, hi)
}

func lines(all map[string]sums) []string {
	var out []string
	for k, s := range all {
		out = append(out, s.line(k))
	}
	slices.Sort(out)
	return out
}

// TestViews compares the views with the windows, of which some have been
// compacted, some not, and some are there twice.
func TestViews(t *testing.T) {
	pool, o := chunktest.Open(t)
	server := clickhousetest.Start(t)
	w := chunkwriter.New(pool, writer.Options{Tables: o, KnownEntries: 1000})
	source, want := chunktest.NewSource(5), chunktest.NewContents()
	write := func(n int) {
		for range n {
			win := source.Window(1_767_571_200_000_000_000, layout.Hour+layout.Hour/2, 40)
			require.NoError(t, w.Write(t.Context(), win))
			want.AddWindow(win)
		}
	}
	pass := func(r compact.Rules) {
		c := compact.New(pool, compact.Options{Tables: o, Rules: r, Holder: "a", OnError: func(_ context.Context, err error) { t.Error(err) }})
		require.NoError(t, c.Pass(t.Context()))
	}
	write(3)
	pass(compact.Rules{MinRows: 2, CloseAfter: 1 << 62})
	write(1)
	pass(compact.Rules{MinRows: 1, Quiet: 1, Latest: 1})
	write(2)
	pass(compact.Rules{MinRows: 2, CloseAfter: 1 << 62})
	write(1)
	clickhousetest.Exec(t, server, "INSERT INTO "+o.Table("chunks")+" SELECT * REPLACE (written + INTERVAL 1 SECOND AS written) FROM "+o.Table("chunks")+" WHERE level = 0")
	for level := range 3 {
		require.NotEqual(t, "0", clickhousetest.Exec(t, server, fmt.Sprintf("SELECT count() FROM %s WHERE level = %d", o.Table("chunks"), level)))
	}

	profiles, stacks := make(map[string]sums), make(map[string]sums)
	add := func(to map[string]sums, key string, s chunktest.Sums) {
		sum, ok := to[key]
		if !ok {
			sum.min, sum.max = layout.NoMinimum, layout.NoMaximum
		}
		sum.count += s.Count
		for i, v := range s.Values {
			sum.values[i] += v
		}
		if s.Min <= s.Max {
			sum.min, sum.max = min(sum.min, s.Min), max(sum.max, s.Max)
		}
		to[key] = sum
	}
	spell := func(k *chunkrow.Key) string {
		return strings.Join([]string{k.Tenant, k.Service, k.Kind, k.Types, k.PeriodType, fmt.Sprint(k.Period)}, " ")
	}
	of := func(p *chunktest.Profile) string {
		return fmt.Sprint(spell(&p.Key), " ", p.Series.Hi, " ", p.Series.Lo, " ", p.Time, " ", p.Duration)
	}
	for at, s := range want.Places {
		e := at.Entry
		add(stacks, fmt.Sprint(spell(&at.Key), " ", at.Hour, " ", e.Stack.Hi, " ", e.Stack.Lo, " ", e.Set.Hi, " ", e.Set.Lo, " ", e.Lock, " ", e.Syscall, " ", e.Bucket, " ", e.Error), s)
		s.Min, s.Max = layout.NoMinimum, layout.NoMaximum
		add(profiles, of(&at.Profile), s)
	}
	for p, n := range want.Profiles {
		s := profiles[of(&p)]
		s.n = uint64(n)
		profiles[of(&p)] = s
	}
	const key = "tenant, ' ', service, ' ', kind, ' ', types, ' ', period_type, ' ', toString(period), ' ', "
	const values = "toString(sum(v0)), ' ', toString(sum(v1)), ' ', toString(sum(v2)), ' ', toString(sum(v3)), ' '"
	id := func(name string) string {
		return "toString(toUInt64(bitShiftRight(" + name + ", 64))), ' ', toString(toUInt64(bitAnd(" + name + ", toUInt128(18446744073709551615)))), ' ', "
	}
	read := func(columns, from, group string) []string {
		t.Helper()
		out := strings.Split(clickhousetest.Exec(t, server, "SELECT concat("+key+columns+") FROM "+from+
			" GROUP BY tenant, service, kind, types, period_type, period, "+group+" FORMAT TSVRaw"), "\n")
		slices.Sort(out)
		return out
	}
	assert.Equal(t, lines(profiles), read(id("series")+"toString(toUnixTimestamp64Nano(time)), ' ', toString(duration), ' ', toString(count()), ' ', toString(sum(events)), ' ', "+
		values+`, '\\N \\N'`, o.Table("chunk_profiles"), "series, time, duration"))
	// Stacks have several names; their locations say which they are.
	var got []string
	for _, tenant := range []string{"anonymous", "other"} {
		for service := range 3 {
			got = append(got, read("toString(toUnixTimestamp(hour)), ' ', path, ' ', "+id("attribute_set")+
				"toString(lock_address), ' ', toString(syscall), ' ', toString(bucket), ' ', toString(error), ' 0 ', toString(sum(count)), ' ', "+
				values+`, ifNull(toString(min(minimum)), '\\N'), ' ', ifNull(toString(max(maximum)), '\\N')`,
				fmt.Sprintf(`(SELECT * FROM %s WHERE tenant = '%s' AND service = 'service-%d') AS c
				LEFT JOIN (SELECT stack, arrayStringConcat(any(locations), ',') AS path FROM %s(tenant = '%[2]s', service = 'service-%d') GROUP BY stack) AS l USING stack`,
					o.Table("chunk_stacks"), tenant, service, o.Table("stack_locations"), service),
				"hour, path, attribute_set, lock_address, syscall, bucket, error")...)
		}
	}
	for i, line := range got {
		fields := strings.Split(line, " ")
		fields[7] = stackOf(t, fields[7])
		got[i] = strings.Join(fields, " ")
	}
	slices.Sort(got)
	assert.Equal(t, lines(stacks), got)
	assert.NotEqual(t, "0", clickhousetest.Exec(t, server, "SELECT countIf(dictionary != 0) FROM "+o.Table("chunks")))
}

// stackOf returns the id of the stack with these locations, as the test writes it.
func stackOf(t *testing.T, path string) string {
	t.Helper()
	var ids []profile.ID
	for _, s := range strings.Split(path, ",") {
		if s == "" {
			continue
		}
		n, ok := new(big.Int).SetString(s, 10)
		require.True(t, ok, s)
		low := new(big.Int).And(n, new(big.Int).SetUint64(math.MaxUint64))
		ids = append(ids, profile.ID{Hi: new(big.Int).Rsh(n, 64).Uint64(), Lo: low.Uint64()})
	}
	id, _ := profile.StackID(ids, nil)
	return fmt.Sprint(id.Hi, " ", id.Lo)
}
