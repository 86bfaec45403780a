package corpus

import (
	"math"
	"math/rand/v2"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pprofile"

	"github.com/aperture-collector/aperture-collector/internal/profile"
)

// Generator makes profiles of a corpus and sums up what it made. It is not safe
// for concurrent use; several generators of one corpus are.
type Generator struct {
	corpus *Corpus
	totals *Sums // without ByKey
	// sums holds the sum of each type by stack of the pool: a map by key would
	// cost more than everything else here.
	sums map[*pool]*[4][]int64

	counts  map[int32]int64
	order   []int32
	values  [4][]int64
	observe func(*Made)
}

// NewGenerator returns a generator with empty sums.
func (c *Corpus) NewGenerator() *Generator {
	return &Generator{corpus: c, totals: NewSums(), sums: make(map[*pool]*[4][]int64), counts: make(map[int32]int64)}
}

// Sums returns the sums of everything generated so far.
func (g *Generator) Sums() *Sums {
	out := NewSums()
	out.Merge(g.totals)
	for _, s := range g.corpus.services {
		for _, of := range []struct {
			kind  string
			pool  *pool
			types []profile.ValueType
		}{{KindCPU, s.cpu, cpuTypes}, {KindMemory, s.memory, memoryTypes}} {
			sums := g.sums[of.pool]
			if sums == nil {
				continue
			}
			for t, vt := range of.types {
				for i, v := range sums[t] {
					if v != 0 {
						out.ByKey[Key{s.name, of.kind, vt.Type, of.pool.stacks[i].key}] = v
					}
				}
			}
		}
	}
	return out
}

// Batch returns all profiles of n intervals from tick on: of every pod of every
// service one CPU profile and one memory profile each. It does not depend on what
// was generated before. tick counts from 0 and may be beyond the corpus' duration.
func (g *Generator) Batch(tick, n int) pprofile.Profiles {
	e := newEmitter()
	for i := range g.corpus.services {
		for t := range n {
			g.service(e, i, tick+t)
		}
	}
	return e.builder.Profiles()
}

func (g *Generator) service(e *emitter, index, tick int) {
	s := g.corpus.services[index]
	e.use(s.bin)
	for j := range s.pods {
		p := &s.pods[j]
		scope := e.resource(p.attributes)
		start := g.corpus.config.Start.Add(time.Duration(tick)*g.corpus.config.Interval).UnixNano() + p.offset
		m := Made{Service: index, Pod: j, Start: start, g: g, s: s}
		mean := s.rate * p.load * g.wave(index, tick)
		g.draw(s.cpu, index, j, tick, KindCPU, mean)
		g.made(m, KindCPU, cpuTypes)
		g.emit(e, scope, s.cpu, KindCPU, start, cpuTypes)
		if s.memory != nil {
			rng := g.draw(s.memory, index, j, tick, KindMemory, mean/2)
			g.allocations(rng, s.memory, uint64(j))
			g.made(m, KindMemory, memoryTypes)
			g.emit(e, scope, s.memory, KindMemory, start, memoryTypes)
		}
	}
}

var (
	cpuTypes    = profile.Types(profile.KindCPU)
	memoryTypes = []profile.ValueType{
		{Type: "alloc_objects", Unit: "count"},
		{Type: "alloc_space", Unit: "bytes"},
		{Type: "inuse_objects", Unit: "count"},
		{Type: "inuse_space", Unit: "bytes"},
	}
	cpuPeriod    = profile.ValueType{Type: "cpu", Unit: "nanoseconds"}
	memoryPeriod = profile.ValueType{Type: "space", Unit: "bytes"}
)

const (
	cpuPeriodValue    = int64(10 * time.Millisecond)
	memoryPeriodValue = 512 << 10
)

// wave is the load at a time of day: a slow wave over the day and a faster one.
func (g *Generator) wave(service, tick int) float64 {
	t := (time.Duration(tick) * g.corpus.config.Interval).Hours()
	return 1 + 0.4*math.Sin(2*math.Pi*(t-9)/24) + 0.15*math.Sin(2*math.Pi*t/0.8+float64(service))
}

// draw fills order and values[0] with the stacks of one profile and how often
// each was observed.
func (g *Generator) draw(p *pool, service, pod, tick int, kind string, mean float64) *rand.Rand {
	seed := g.corpus.config.Seed ^ uint64(service)<<40 ^ uint64(pod)<<24 ^ uint64(len(kind))<<16
	rng := rand.New(rand.NewPCG(seed, uint64(tick)+1))
	n := max(int(mean+math.Sqrt(mean)*rng.NormFloat64()+0.5), 1)
	// What a pod does for five minutes.
	phase := uint64(time.Duration(tick) * g.corpus.config.Interval / (5 * time.Minute))
	hotRNG := rand.New(rand.NewPCG(^seed, phase))
	var hot [64]int32
	for i := range hot {
		hot[i] = p.draw(hotRNG)
	}
	clear(g.counts)
	g.order = g.order[:0]
	for range n {
		var s int32
		if rng.IntN(100) < 15 {
			s = hot[min(rng.IntN(len(hot)), rng.IntN(len(hot)))]
		} else {
			s = p.draw(rng)
		}
		if g.counts[s]++; g.counts[s] == 1 {
			g.order = append(g.order, s)
		}
	}
	for i := range g.values {
		g.values[i] = g.values[i][:0]
	}
	for _, s := range g.order {
		g.values[0] = append(g.values[0], g.counts[s])
	}
	return rng
}

// allocations turns observation counts into the four values of a heap profile,
// un-sampled as the Go runtime does it.
func (g *Generator) allocations(rng *rand.Rand, p *pool, pod uint64) {
	for i, s := range g.order {
		size := max(p.stacks[s].size, 8)
		scale := 1 / (1 - math.Exp(-size/memoryPeriodValue))
		objects := int64(float64(g.values[0][i]) * scale)
		g.values[0][i] = objects
		g.values[1] = append(g.values[1], int64(float64(objects)*size))
		var live int64
		// One site in six holds on to what it allocates.
		if h := (uint64(s)*0x9e3779b97f4a7c15 ^ pod*0xff51afd7ed558ccd) >> 32; h%6 == 0 {
			live = int64(float64(h%17+1) * scale * (1 + 0.1*rng.Float64()))
		}
		g.values[2] = append(g.values[2], live)
		g.values[3] = append(g.values[3], int64(float64(live)*size))
	}
}

func (g *Generator) emit(e *emitter, scope pprofile.ScopeProfiles, p *pool, kind string, start int64, types []profile.ValueType) {
	period, periodValue := cpuPeriod, cpuPeriodValue
	if kind == KindMemory {
		period, periodValue = memoryPeriod, memoryPeriodValue
	}
	g.totals.Profiles++
	g.totals.Samples += uint64(len(g.order))
	g.totals.SamplesOf[kind] += uint64(len(g.order))
	sums := g.sums[p]
	if sums == nil {
		sums = new([4][]int64)
		for t := range types {
			sums[t] = make([]int64, len(p.stacks))
		}
		g.sums[p] = sums
	}
	for t, vt := range types {
		out := e.builder.AddProfile(scope, kind, vt, period, periodValue)
		out.SetTime(pcommon.Timestamp(start))
		out.SetDurationNano(uint64(g.corpus.config.Interval.Nanoseconds()))
		out.Samples().EnsureCapacity(len(g.order))
		for i, stackIndex := range g.order {
			v := g.values[t][i]
			if v == 0 {
				continue
			}
			sample := out.Samples().AppendEmpty()
			sample.SetStackIndex(e.stack(p, stackIndex))
			sample.Values().Append(v)
			g.totals.Values++
			sums[t][stackIndex] += v
		}
	}
}
