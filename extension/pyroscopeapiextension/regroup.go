package pyroscopeapiextension

import (
	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// regroup gives stack i the frames that of returns, leaf first, and sums the rows whose
// frames are the same by now. The part must be a joined one.
func (p *mergedPart) regroup(of func(i int) []*profile.Frame) {
	byFrames := make(map[string]int32)
	places := make([]int32, len(p.merge.Stacks)) // in the new stacks
	numbers := make(map[*profile.Frame]uint32)
	var stacks []profilestore.Stack
	var key []byte
	for i := range p.merge.Stacks {
		frames := of(i)
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
	p.merge.Stacks = stacks
	p.sumRows(places)
}

// sumRows sums the rows of stacks that have the same place, in order of places.
func (p *mergedPart) sumRows(places []int32) {
	rows := make([]profilestore.Row, len(p.merge.Stacks))
	used := make([]bool, len(rows))
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
	p.kind.TotalRows = len(p.kind.Rows)
}
