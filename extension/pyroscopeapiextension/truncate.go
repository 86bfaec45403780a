package pyroscopeapiextension

import (
	"github.com/aperture-collector/aperture-collector/internal/flame"
	"github.com/aperture-collector/aperture-collector/internal/flamebearer"
	"github.com/aperture-collector/aperture-collector/internal/profile"
)

// truncate keeps about the maxNodes largest call paths. What is below a caller and not
// kept is in a frame of its own, summed.
func (p *mergedPart) truncate(maxNodes int64) {
	kept := flamebearer.New(flame.Build(p.merge, p.kind, flame.Options{}), 0, 1).Kept(maxNodes)
	if kept == nil {
		return
	}
	other := &profile.Frame{Function: profile.Function{Name: flamebearer.Other}}
	p.regroup(func(i int) []*profile.Frame {
		frames := p.merge.Stacks[i].Frames
		depth := kept.Depth(func(i int) (string, bool) {
			if i >= len(frames) {
				return "", false
			}
			return flame.Name(frames[len(frames)-1-i]), true
		})
		if depth == len(frames) {
			return frames
		}
		return append([]*profile.Frame{other}, frames[len(frames)-depth:]...)
	})
}
