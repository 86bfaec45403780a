package chunk

import (
	"encoding/hex"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// The bytes of version 1 never change: chunks of it are kept for as long as the
// retention says.
func TestGoldenBytes(t *testing.T) {
	var b Builder
	for name, m := range map[string]*model{"version1_all.txt": exampleModel(), "version1_durations.txt": durations()} {
		c := m.build(t, new(Builder))
		got := dump(c.Columns())
		name = filepath.Join("testdata", name)
		if *update {
			require.NoError(t, os.WriteFile(name, []byte(got), 0o644))
		}
		want, err := os.ReadFile(name)
		require.NoError(t, err)
		assert.Equal(t, string(want), got)
		m.equal(t, c)
		// The same profiles give the same bytes with memory that was used before.
		for range 2 {
			assert.Equal(t, got, dump(m.build(t, &b).Columns()))
		}
	}
}

// durations is a chunk of durations and their numbers. Of some entries all extremes
// are known, of others some or none; two are in a profile twice.
func durations() *model {
	rng := rand.New(rand.NewPCG(7, 7))
	m := &model{types: 2}
	for i := range 12 {
		p := modelProfile{Profile: Profile{Series: uint32(i % 2), Time: int64(i / 2), Duration: 1}}
		for e := range uint32(8) {
			n := 1 + rng.Int64N(4)
			if e == 2 {
				n++
			}
			en := Entry{Index: e, Values: [MaxTypes]int64{n * (100 + rng.Int64N(1000)), n}, Count: uint64(n), Min: NoMinimum, Max: NoMaximum}
			if e < 4 || e == 4 && i%3 == 0 {
				en.Min, en.Max = en.Values[0]/n, en.Values[0]/n
				if n > 1 {
					en.Min, en.Max = en.Min-50, en.Max+rng.Int64N(100)
				}
			}
			if e == 1 && en.Count == 1 {
				en.Min-- // less than the value: rounded, as some producers do
			}
			p.added = append(p.added, en)
			if e == 3 && i%5 == 0 || e == 6 {
				p.added = append(p.added, en)
			}
		}
		m.profiles = append(m.profiles, p)
	}
	m.finish()
	return m
}

// dump writes arrays as numbers and streams as hexadecimal bytes.
func dump(c *Columns) string {
	var out strings.Builder
	p, e := &c.Profiles, &c.Entries
	fmt.Fprintf(&out, "profiles.times %d\nprofiles.durations %d\nprofiles.series %d\n", p.Times, p.Durations, p.Series)
	for j := range MaxTypes {
		fmt.Fprintf(&out, "profiles.totals%d %d\n", j, p.Totals[j])
	}
	fmt.Fprintf(&out, "profiles.events %d\nentries.profiles %d\n", p.Events, e.Profiles)
	for j := range MaxTypes {
		fmt.Fprintf(&out, "entries.totals%d %d\n", j, e.Totals[j])
	}
	fmt.Fprintf(&out, "entries.counts %d\nentries.minima %d\nentries.maxima %d\n", e.Counts, e.Minima, e.Maxima)
	for _, s := range c.Streams.all() {
		fmt.Fprintf(&out, "streams.%s %s\n", s.name, hex.EncodeToString(*s.bytes))
	}
	return out.String()
}

// The integer formula is that of the comment.
func TestRiceParameter(t *testing.T) {
	for _, c := range []struct {
		total, n int
		want     uint
	}{
		{2, 1, 0},
		{4, 1, 1},
		{10, 1, 3},
		{10, 5, 0},
		{1000, 500, 0},
		{1000, 300, 1},
		{1000, 100, 3},
		{4800, 1, 12},
		{4800, 48, 6},
		{MaxProfiles, 1, 19},
		{MaxProfiles, MaxProfiles / 2, 0},
	} {
		assert.Equal(t, c.want, riceParameter(c.total, c.n), "%d of %d", c.n, c.total)
	}
}

func TestRatio(t *testing.T) {
	const big = 1 << 62
	for _, c := range []struct{ base, derived, value, want int64 }{
		{0, 5, 7, 0},
		{5, 0, 7, 0},
		{10, 10, 7, 7},
		{10, -10, 7, -7},
		{-10, 10, 7, -7},
		{-10, -10, -7, -7},
		{3, 3072, 11, 11264},
		{1, 1_000_003, 9, 9_000_027},
		{1_000_003, 1, 1_000_003, 1},
		{2, 1, 1, 1},
		{2, 1, -1, -1},
		{3, 1, 1, 0},
		{3, 2, 1, 1},
		{1000, 1, 500, 0},
		{1000, 1, 501, 1}, // 1/1000 is rounded down
		{big, big, big, big},
		{1, big, 1, big},
		{big, 1, big, 1},
		{big, 1, 1, 0},
		{1, big, 4, 0}, // modulo 2^64
		{-1 << 63, 1, -1 << 63, 1},
		{1, -1 << 63, 1, -1 << 63},
	} {
		assert.Equal(t, c.want, newRatio(c.base, c.derived).predict(c.value), "%d/%d of %d", c.derived, c.base, c.value)
	}
}
