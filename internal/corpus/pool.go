package corpus

import (
	"math/rand/v2"

	pprof "github.com/google/pprof/profile"
)

// pool is the stacks of one service and kind with the share of each.
type pool struct {
	stacks []stack
	weight []float64
	index  map[uint64]int32 // by key
	// alias and prob are Vose's tables for drawing in constant time.
	alias []int32
	prob  []float64
	text  []byte // reused
}

type stack struct {
	locations []int32 // leaf first, indices of the binary
	key       uint64  // [StackKey]
	size      float64 // bytes per object
}

// newPool takes the stacks of the programs as they are and adds up to tail
// crossovers with tailShare of the weight.
func newPool(rng *rand.Rand, bin *binary, programs []program, tail int, tailShare float64) *pool {
	p := &pool{index: make(map[uint64]int32)}
	var all []recorded
	for _, pr := range programs {
		all = append(all, pr.stacks...)
	}
	var total float64
	for _, r := range all {
		p.add(bin, r.locations, r.weight, r.size)
		total += r.weight
	}
	p.crossovers(rng, bin, all, tail, total*tailShare/(1-tailShare))
	p.build()
	return p
}

func (p *pool) add(bin *binary, locations []*pprof.Location, weight, size float64) (isNew bool) {
	s := stack{locations: make([]int32, len(locations)), size: size}
	text := p.text[:0]
	for i, l := range locations {
		s.locations[i] = bin.add(l)
		if i > 0 {
			text = append(text, ';')
		}
		text = append(text, bin.locations[s.locations[i]].text...)
	}
	p.text = text
	s.key = StackKey(text)
	if i, ok := p.index[s.key]; ok {
		p.weight[i] += weight
		return false
	}
	p.index[s.key] = int32(len(p.stacks))
	p.stacks, p.weight = append(p.stacks, s), append(p.weight, weight)
	return true
}

const maxDepth = 128

// crossovers adds n stacks that continue the root part of one recorded stack
// with the leaf part of another below the same function. Their weights are
// Zipf distributed and sum to weight.
func (p *pool) crossovers(rng *rand.Rand, bin *binary, all []recorded, n int, weight float64) {
	type place struct{ stack, frame int }
	byFunction := make(map[string][]place)
	function := func(l *pprof.Location) string { return l.Line[len(l.Line)-1].Function.Name }
	for si, r := range all {
		for fi, l := range r.locations {
			byFunction[function(l)] = append(byFunction[function(l)], place{si, fi})
		}
	}
	first := len(p.stacks)
	for try := 0; len(p.stacks)-first < n && try < 6*n; try++ {
		root := all[rng.IntN(len(all))]
		at := rng.IntN(len(root.locations))
		places := byFunction[function(root.locations[at])]
		pl := places[rng.IntN(len(places))]
		leaf := all[pl.stack]
		joined := make([]*pprof.Location, 0, pl.frame+len(root.locations)-at)
		joined = append(joined, leaf.locations[:pl.frame+1]...)
		joined = append(joined, root.locations[at+1:]...)
		if len(joined) <= maxDepth {
			p.add(bin, joined, 0, leaf.size)
		}
	}
	var sum float64
	for i := range p.stacks[first:] {
		sum += 1 / float64(i+5)
	}
	for i := range p.stacks[first:] {
		p.weight[first+i] = weight / float64(i+5) / sum
	}
}

// build makes the tables of the alias method (M. D. Vose, A linear algorithm for
// generating random numbers with a given distribution, 1991).
func (p *pool) build() {
	n := len(p.stacks)
	p.alias, p.prob = make([]int32, n), make([]float64, n)
	var total float64
	for _, w := range p.weight {
		total += w
	}
	scaled := make([]float64, n)
	var small, large []int32
	for i, w := range p.weight {
		scaled[i] = w / total * float64(n)
		if scaled[i] < 1 {
			small = append(small, int32(i))
		} else {
			large = append(large, int32(i))
		}
	}
	for len(small) > 0 && len(large) > 0 {
		s, l := small[len(small)-1], large[len(large)-1]
		small = small[:len(small)-1]
		p.prob[s], p.alias[s] = scaled[s], l
		if scaled[l] -= 1 - scaled[s]; scaled[l] < 1 {
			large = large[:len(large)-1]
			small = append(small, l)
		}
	}
	for _, i := range append(small, large...) {
		p.prob[i] = 1
	}
}

// draw returns the index of a stack.
func (p *pool) draw(rng *rand.Rand) int32 {
	i := rng.IntN(len(p.stacks))
	if rng.Float64() < p.prob[i] {
		return int32(i)
	}
	return p.alias[i]
}
