package pushload

import (
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/aperture-collector/aperture-collector/internal/corpus"
)

// batch says how many events of each kind one push has.
type batch struct {
	cpu, locks, syscalls int
}

func (b batch) events() int { return b.cpu + b.locks + b.syscalls }

// Mix is what an agent sends in turn, over and over.
type Mix struct {
	Name    string
	batches []batch
	// variants is how many different pushes there are of each batch and service.
	variants int
}

// A host of the mix `agents`: what it does in a second.
const (
	// Busy CPUs, each of which an agent samples at its default of 99 Hz.
	busyCPUs     = 4
	cpuPerSecond = busyCPUs * 99
	// One small workload that was traced made 354,637 system calls in 300 s; the
	// host has one such on each busy CPU.
	syscallsPerSecond = busyCPUs * 354_637 / 300
	// An assumption: one wait for a lock to every CPU sample.
	locksPerSecond = cpuPerSecond
)

// mixes are, by name:
//
//	agents  what an agent with all its profilers on sends every five seconds: a
//	        push for each profiler
//	cpu     pushes of few events, most of them CPU samples, all kinds in one: each
//	        has a large dictionary for its size
func mixes(events int) []Mix {
	seconds := int(Spread.Seconds())
	return []Mix{
		{Name: "agents", variants: 4, batches: []batch{
			{cpu: cpuPerSecond * seconds}, {locks: locksPerSecond * seconds}, {syscalls: syscallsPerSecond * seconds},
		}},
		{Name: "cpu", variants: 24, batches: []batch{
			{cpu: events - events/10 - events/5, locks: events / 10, syscalls: events / 5},
		}},
	}
}

// Mixes returns the mixes with the names in a list with commas.
func Mixes(names string, events int) ([]Mix, error) {
	var out []Mix
	for name := range strings.SplitSeq(names, ",") {
		found := false
		for _, m := range mixes(events) {
			if m.Name == name {
				out, found = append(out, m), true
			}
		}
		if !found {
			return nil, fmt.Errorf("choose mix: there is no %q, only agents and cpu", name)
		}
	}
	return out, nil
}

// NewAgents prepares n agents and their pushes. Hosts of one kind run the same
// binaries. rate is the events per second of each agent, 0 for no limit.
func NewAgents(m Mix, n int, rate float64) ([]*Agent, error) {
	const services = 8
	c, err := corpus.New(corpus.Config{Services: services, Pods: 1, Tail: 2000})
	if err != nil {
		return nil, err
	}
	sets := make([][][]*template, services)
	for i := range sets {
		rng := rand.New(rand.NewPCG(7, uint64(i)))
		sampler := c.NewSampler(i, 12, maxDepth)
		for _, b := range m.batches {
			var variants []*template
			for range m.variants {
				variants = append(variants, newTemplate(rng, sampler, b, i%2 == 0))
			}
			sets[i] = append(sets[i], variants)
		}
	}
	agents := make([]*Agent, n)
	for i := range agents {
		agents[i] = &Agent{ID: fmt.Sprintf("host-%04d", i), seed: uint64(i), rate: rate, templates: sets[i%services]}
	}
	return agents, nil
}
