package pyroscopeapiextension

import (
	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// goPGO makes profiles that guide the optimisations of the Go compiler: it looks at
// few frames from the leaf on.
type goPGO struct {
	// keep is how many frames of each stack are kept, 0 for all.
	keep int
	// aggregateCallees takes leaves of different lines of a function for one.
	aggregateCallees bool
}

// apply cuts stacks and sums those that are equal by now.
func (g *goPGO) apply(p *mergedPart) {
	leaves := make(map[profile.Frame]*profile.Frame)
	byFrames := make(map[string]int32)
	places := make([]int32, len(p.merge.Stacks)) // in the new stacks
	numbers := make(map[*profile.Frame]uint32)
	var stacks []profilestore.Stack
	var key []byte
	for i := range p.merge.Stacks {
		frames := p.merge.Stacks[i].Frames
		if g.keep > 0 && len(frames) > g.keep {
			frames = frames[:g.keep]
		}
		if g.aggregateCallees && len(frames) > 0 {
			leaf := *frames[0]
			leaf.Line, leaf.Address = 0, 0
			if leaves[leaf] == nil {
				leaves[leaf] = &leaf
			}
			frames = append([]*profile.Frame{leaves[leaf]}, frames[1:]...)
		}
		key = key[:0]
		for _, f := range frames {
			n, ok := numbers[f]
			if !ok {
				n = uint32(len(numbers))
				numbers[f] = n
			}
			key = append(key, byte(n), byte(n>>8), byte(n>>16), byte(n>>24))
		}
		at, ok := byFrames[string(key)]
		if !ok {
			at = int32(len(stacks))
			byFrames[string(key)] = at
			stacks = append(stacks, profilestore.Stack{Frames: frames})
		}
		places[i] = at
	}
	rows := make([]profilestore.Row, len(stacks))
	used := make([]bool, len(stacks))
	for i := range p.kind.Rows {
		from := &p.kind.Rows[i]
		at := places[from.Stack]
		rows[at].Values[0] = profile.Add(rows[at].Values[0], from.Values[0])
		used[at] = true
	}
	p.kind.Rows = p.kind.Rows[:0]
	for at := range rows {
		if used[at] {
			rows[at].Stack, rows[at].Syscall = int32(at), profilestore.NoSyscall
			p.kind.Rows = append(p.kind.Rows, rows[at])
		}
	}
	p.merge.Stacks, p.kind.TotalRows = stacks, len(p.kind.Rows)
}
