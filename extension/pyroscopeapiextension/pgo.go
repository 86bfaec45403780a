package pyroscopeapiextension

import "github.com/aperture-collector/aperture-collector/internal/profile"

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
	p.regroup(func(i int) []*profile.Frame {
		frames := g.cut(p.merge.Stacks[i].Frames)
		if g.aggregateCallees && len(frames) > 0 {
			leaf := *frames[0]
			leaf.Line, leaf.Address = 0, 0
			if leaves[leaf] == nil {
				leaves[leaf] = &leaf
			}
			frames = append([]*profile.Frame{leaves[leaf]}, frames[1:]...)
		}
		return frames
	})
}

// cut keeps the first locations of a stack. A location is a frame after those that were
// inlined into it.
func (g *goPGO) cut(frames []*profile.Frame) []*profile.Frame {
	if g.keep <= 0 {
		return frames
	}
	left := g.keep
	for i, f := range frames {
		if !f.Inlined {
			left--
		}
		if left == 0 {
			return frames[:i+1]
		}
	}
	return frames
}
