package chunk

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/internal/corpus"
	"github.com/aperture-collector/aperture-collector/internal/profile"
)

// The benchmarks run on an hour of some services of the corpus of 50, with 20 pods
// each. A value is a number that is not zero.

// benchServices are the first of the corpus; the eighth runs Node.js.
const benchServices = 8

// hour is all profiles of a service and kind in an hour.
type hour struct {
	kind       string
	types      int
	entries    int // indices are below
	profiles   []modelProfile
	ticks      []int // of profiles
	values     int
	incidences int
	sum        int64 // of type 0
}

// hours are those of all services and kinds.
var hours = sync.OnceValues(func() ([]*hour, error) {
	c, err := corpus.New(corpus.Config{Services: benchServices, Pods: 20})
	if err != nil {
		return nil, err
	}
	type key struct{ service, kind string }
	type state struct {
		*hour
		series map[profile.ID]uint32
		stacks map[profile.ID]uint32
	}
	states := make(map[key]*state)
	var out []*hour
	g := c.NewGenerator()
	for tick := range 60 {
		groups, err := profile.Split(g.Batch(tick, 1), time.Second, profile.Limits{})
		if err != nil {
			return nil, err
		}
		for _, group := range groups.Groups {
			k := key{group.Series.Service, group.Kind}
			s := states[k]
			if s == nil {
				s = &state{&hour{kind: group.Kind, types: len(group.Types)}, make(map[profile.ID]uint32), make(map[profile.ID]uint32)}
				states[k] = s
				out = append(out, s.hour)
			}
			s.add(group, groups.Dict, number(s.series, group.Series.ID), s.stacks, tick)
		}
	}
	for _, s := range states {
		s.renumber(s.stacks)
	}
	return out, nil
})

func number(m map[profile.ID]uint32, id profile.ID) uint32 {
	n, ok := m[id]
	if !ok {
		n = uint32(len(m))
		m[id] = n
	}
	return n
}

func (h *hour) add(g *profile.Group, d *profile.Dictionary, series uint32, stacks map[profile.ID]uint32, tick int) {
	p := modelProfile{Profile: Profile{Series: series, Time: g.Start, Duration: g.End - g.Start}}
	for i := range g.Entries {
		e := &g.Entries[i]
		entry := Entry{Index: number(stacks, d.StackIDs[e.Stack]), Values: e.Values, Count: e.Count, Min: e.Min, Max: e.Max}
		if e.Min == 0 && e.Max == 0 {
			entry.Min, entry.Max = NoMinimum, NoMaximum
		}
		for _, v := range e.Values {
			if v != 0 {
				h.values++
			}
		}
		h.sum += e.Values[0]
		p.added = append(p.added, entry)
	}
	h.incidences += len(p.added)
	h.profiles, h.ticks = append(h.profiles, p), append(h.ticks, tick)
}

// renumber puts the indices in the order of the ids.
func (h *hour) renumber(stacks map[profile.ID]uint32) {
	ids := make([]profile.ID, 0, len(stacks))
	for id := range stacks {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(a, b profile.ID) int { return slices.Compare([]uint64{a.Hi, a.Lo}, []uint64{b.Hi, b.Lo}) })
	h.entries = len(ids)
	ranks := make([]uint32, len(ids))
	for i, id := range ids {
		ranks[stacks[id]] = uint32(i)
	}
	for i := range h.profiles {
		for j := range h.profiles[i].added {
			e := &h.profiles[i].added[j]
			e.Index = ranks[e.Index]
		}
	}
}

func benchHours(b *testing.B) []*hour {
	all, err := hours()
	require.NoError(b, err)
	return all
}

func (h *hour) build(tb testing.TB, b *Builder) *Chunk {
	require.NoError(tb, b.Reset(h.types))
	for i := range h.profiles {
		if err := b.Add(h.profiles[i].Profile, h.profiles[i].added); err != nil {
			require.NoError(tb, err)
		}
	}
	c, err := b.Build(nil, nil)
	require.NoError(tb, err)
	return c
}

// perKind runs f with the hours of each kind.
func perKind(b *testing.B, f func(b *testing.B, hs []*hour)) {
	for _, kind := range []string{corpus.KindCPU, corpus.KindMemory} {
		b.Run(kind, func(b *testing.B) {
			var hs []*hour
			for _, h := range benchHours(b) {
				if h.kind == kind {
					hs = append(hs, h)
				}
			}
			f(b, hs)
		})
	}
}

// report reports rates, also by the processor time of the whole process since
// before, which others on the machine hardly change.
func report(b *testing.B, before time.Duration, values, incidences int) {
	for name, d := range map[string]time.Duration{"s": b.Elapsed(), "cpu-s": cpuTime(b) - before} {
		n := float64(b.N) / d.Seconds() / 1e6
		if values > 0 {
			b.ReportMetric(float64(values)*n, "Mvalues/"+name)
		}
		b.ReportMetric(float64(incidences)*n, "Mincidences/"+name)
	}
}

func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func totals(hs []*hour) (values, incidences int) {
	for _, h := range hs {
		values += h.values
		incidences += h.incidences
	}
	return values, incidences
}

func BenchmarkBuild(b *testing.B) {
	perKind(b, func(b *testing.B, hs []*hour) {
		var builder Builder
		b.ReportAllocs()
		before := cpuTime(b)
		for b.Loop() {
			for _, h := range hs {
				if c := h.build(b, &builder); c.Incidences() != h.incidences || sum(c.columns.Entries.Totals[0]) != h.sum {
					b.Fatal("other sums")
				}
			}
		}
		values, incidences := totals(hs)
		report(b, before, values, incidences)
	})
}

func BenchmarkSum(b *testing.B) {
	perKind(b, func(b *testing.B, hs []*hour) {
		chunks := make([]*Chunk, len(hs))
		want := make([]int64, len(hs))
		selections := make([]Selection, len(hs))
		for i, h := range hs {
			chunks[i] = h.build(b, new(Builder))
			selections[i].Set(chunks[i], func(p int) bool { return p%3 != 0 })
			for p, v := range chunks[i].columns.Profiles.Totals[0] {
				if p%3 != 0 {
					want[i] += v
				}
			}
		}
		for column := range hs[0].types {
			b.Run(fmt.Sprintf("v%d", column), func(b *testing.B) {
				var r Reader
				dst := make([]int64, 1<<20)
				before := cpuTime(b)
				for b.Loop() {
					for i, c := range chunks {
						out := dst[:c.Entries()]
						clear(out)
						if err := r.Sum(c, column, &selections[i], out); err != nil || column == 0 && sum(out) != want[i] {
							b.Fatal(err)
						}
					}
				}
				_, incidences := totals(hs)
				report(b, before, 0, incidences)
			})
		}
	})
}

func BenchmarkSumBy(b *testing.B) {
	perKind(b, func(b *testing.B, hs []*hour) {
		chunks := make([]*Chunk, len(hs))
		groups := make([][]int32, len(hs))
		for i, h := range hs {
			chunks[i] = h.build(b, new(Builder))
			groups[i] = make([]int32, chunks[i].Profiles())
			for p := range groups[i] {
				groups[i][p] = int32(p % 60)
			}
		}
		var r Reader
		dst := make([]int64, 60)
		before := cpuTime(b)
		for b.Loop() {
			for i, c := range chunks {
				clear(dst)
				if err := r.SumBy(c, 0, groups[i], func(int) bool { return true }, dst); err != nil || sum(dst) != hs[i].sum {
					b.Fatal(err)
				}
			}
		}
		_, incidences := totals(hs)
		report(b, before, 0, incidences)
	})
}

func BenchmarkProfiles(b *testing.B) {
	perKind(b, func(b *testing.B, hs []*hour) {
		var chunks []*Chunk
		for _, h := range hs {
			chunks = append(chunks, h.build(b, new(Builder)))
		}
		var r Reader
		before := cpuTime(b)
		for b.Loop() {
			for i, c := range chunks {
				var got int64
				err := r.Profiles(c, nil, func(_ int, entries []Entry) error {
					for k := range entries {
						got += entries[k].Values[0]
					}
					return nil
				})
				if err != nil || got != hs[i].sum {
					b.Fatal(err)
				}
			}
		}
		values, incidences := totals(hs)
		report(b, before, values, incidences)
	})
}

// BenchmarkMerge makes an hour of its minutes.
func BenchmarkMerge(b *testing.B) {
	perKind(b, func(b *testing.B, hs []*hour) {
		var inputs [][]Input
		for _, h := range hs {
			inputs = append(inputs, h.minutes(b))
		}
		var m Merger
		b.ReportAllocs()
		before := cpuTime(b)
		for b.Loop() {
			for i, in := range inputs {
				c, err := m.Merge(in, hs[i].entries)
				if err != nil || c.Incidences() != hs[i].incidences || sum(c.columns.Entries.Totals[0]) != hs[i].sum {
					b.Fatal(err)
				}
			}
		}
		values, incidences := totals(hs)
		report(b, before, values, incidences)
	})
}

// minutes returns a chunk for each minute.
func (h *hour) minutes(b *testing.B) []Input {
	var out []Input
	for tick := range 60 {
		var in Input
		local := make([]uint32, h.entries)
		for i := range h.profiles {
			if h.ticks[i] == tick {
				for _, e := range h.profiles[i].added {
					local[e.Index] = 1
				}
			}
		}
		for e := range local {
			if local[e] == 1 {
				local[e] = uint32(len(in.Entries))
				in.Entries = append(in.Entries, uint32(e))
			}
		}
		for s := range uint32(1000) {
			in.Series = append(in.Series, s)
		}
		var builder Builder
		require.NoError(b, builder.Reset(h.types))
		for i := range h.profiles {
			if h.ticks[i] != tick {
				continue
			}
			added := slices.Clone(h.profiles[i].added)
			for k := range added {
				added[k].Index = local[added[k].Index]
			}
			require.NoError(b, builder.Add(h.profiles[i].Profile, added))
		}
		var err error
		in.Chunk, err = builder.Build(nil, nil)
		require.NoError(b, err)
		out = append(out, in)
	}
	return out
}

// BenchmarkSize reports bytes per value after ZSTD: level 1 for arrays, which are
// written as varints (of differences, for times), and about 3 for streams;
// positions are not compressed. The keys of entries are not included. The entropy is
// that of the positions.
func BenchmarkSize(b *testing.B) {
	perKind(b, func(b *testing.B, hs []*hour) { size(b, hs) })
	b.Run("all", func(b *testing.B) { size(b, benchHours(b)) })
}

// entropy is the number of bits that n of total independent positions take.
func entropy(n, total float64) float64 {
	if n == 0 || n == total {
		return 0
	}
	return n*math.Log2(total/n) + (total-n)*math.Log2(total/(total-n))
}

func size(b *testing.B, hs []*hour) {
	fast, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1))
	require.NoError(b, err)
	defer func() { require.NoError(b, fast.Close()) }()
	dense, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedDefault), zstd.WithEncoderConcurrency(1))
	require.NoError(b, err)
	defer func() { require.NoError(b, dense.Close()) }()
	sizes := make(map[string]int)
	for b.Loop() {
		clear(sizes)
		for _, h := range hs {
			c := h.build(b, new(Builder)).Columns()
			for _, n := range c.Entries.Profiles {
				sizes["entropy"] += int(entropy(float64(n), float64(len(c.Profiles.Times))) / 8)
			}
			for _, s := range c.Streams.all() {
				n := len(*s.bytes)
				if s.name != "positions" && s.name != "small" {
					n = len(dense.EncodeAll(*s.bytes, nil))
				}
				sizes[s.name] += n
				sizes["all"] += n
			}
			for name, arrays := range map[string][]anyArray{
				"profiles": {asArray(c.Profiles.Times), asArray(c.Profiles.Durations), asArray(c.Profiles.Series), asArray(c.Profiles.Events), asArray(c.Profiles.Totals[0]), asArray(c.Profiles.Totals[1]), asArray(c.Profiles.Totals[2]), asArray(c.Profiles.Totals[3])},
				"totals":   {asArray(c.Entries.Totals[0]), asArray(c.Entries.Totals[1]), asArray(c.Entries.Totals[2]), asArray(c.Entries.Totals[3]), asArray(c.Entries.Counts), asArray(c.Entries.Minima), asArray(c.Entries.Maxima)},
				"n":        {asArray(c.Entries.Profiles)},
			} {
				for i, a := range arrays {
					var raw []byte
					last := int64(0)
					for k := range a.n {
						v := a.get(k)
						if name == "profiles" && i == 0 {
							v, last = v-last, v
						}
						raw = binary.AppendVarint(raw, v)
					}
					n := len(fast.EncodeAll(raw, nil))
					sizes[name] += n
					sizes["all"] += n
				}
			}
		}
	}
	values, incidences := totals(hs)
	b.ReportMetric(float64(incidences)/float64(values), "incidences/value")
	entries := 0
	for _, h := range hs {
		entries += h.entries
	}
	b.ReportMetric(float64(incidences)/float64(entries), "incidences/entry")
	for name, n := range sizes {
		b.ReportMetric(float64(n)/float64(values), name+"_B/value")
	}
}
