package corpus

import "math/rand/v2"

// Frame is one frame of a stack as an agent without dictionaries sends it.
type Frame struct {
	Function, Module string
	Address          uint64
}

// Sampler draws CPU stacks of one service, each as often as its weight says.
// It is immutable and safe for concurrent use.
type Sampler struct {
	pool   *pool
	stacks [][]Frame
}

// NewSampler returns a sampler of the service's CPU stacks, cut to the maxDepth
// frames next to the leaf; stacks of less than minDepth frames are never drawn.
// Inlined functions are frames of their own at the same address.
func (c *Corpus) NewSampler(service, minDepth, maxDepth int) *Sampler {
	s := c.services[service]
	out := &Sampler{pool: &pool{}}
	for i, st := range s.cpu.stacks {
		var frames []Frame
		for _, l := range st.locations {
			loc := &s.bin.locations[l]
			for _, ln := range loc.lines {
				frames = append(frames, Frame{ln.function.Name, s.name, loc.address})
			}
		}
		if len(frames) < minDepth {
			continue
		}
		out.stacks = append(out.stacks, frames[:min(len(frames), maxDepth)])
		out.pool.stacks = append(out.pool.stacks, st)
		out.pool.weight = append(out.pool.weight, s.cpu.weight[i])
	}
	out.pool.build()
	return out
}

// Draw returns a stack, leaf first, which must not be changed.
func (s *Sampler) Draw(rng *rand.Rand) []Frame { return s.stacks[s.pool.draw(rng)] }

// Len returns the number of different stacks.
func (s *Sampler) Len() int { return len(s.stacks) }
