package corpus

import (
	"bytes"
	_ "embed"
	"fmt"
	"sort"
	"strings"

	"github.com/google/pprof/profile"
)

//go:embed testdata/cpu.pb.gz
var cpuStacks []byte

//go:embed testdata/memory.pb.gz
var memoryStacks []byte

// recorded is a stack of the corpus with its weight in its program.
type recorded struct {
	locations []*profile.Location // leaf first
	weight    float64
	size      float64 // bytes per object of an allocation
}

// program is what was recorded of one program.
type program struct {
	name   string
	node   bool
	stacks []recorded
}

// programs reads a recorded profile and sorts its stacks by program.
func programs(data []byte) ([]program, error) {
	p, err := profile.Parse(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("parse stack corpus: %w", err)
	}
	byName := make(map[string]*program)
	for _, s := range p.Sample {
		names := s.Label["program"]
		if len(names) != 1 || len(s.Location) == 0 || s.Value[0] <= 0 {
			return nil, fmt.Errorf("parse stack corpus: sample has %d programs, %d locations and value %d", len(names), len(s.Location), s.Value[0])
		}
		pr := byName[names[0]]
		if pr == nil {
			pr = &program{name: names[0], node: strings.HasPrefix(names[0], "node")}
			byName[names[0]] = pr
		}
		r := recorded{locations: s.Location, weight: float64(s.Value[0])}
		if len(s.Value) > 1 {
			r.size = float64(s.Value[1]) / r.weight
		}
		pr.stacks = append(pr.stacks, r)
	}
	out := make([]program, 0, len(byName))
	for _, pr := range byName {
		var total float64
		for _, s := range pr.stacks {
			total += s.weight
		}
		for i := range pr.stacks {
			pr.stacks[i].weight /= total
		}
		out = append(out, *pr)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].name < out[j].name })
	return out, nil
}
