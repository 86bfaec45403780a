package pyroscopeapiextension

import (
	"github.com/aperture-collector/aperture-collector/internal/flame"
	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// stackFilter selects stacks by what they begin with.
type stackFilter struct {
	// callSite has the names of the first frames, outermost first; empty for all.
	callSite []string
}

// has reports whether a stack, leaf first, is selected.
func (f *stackFilter) has(frames []*profile.Frame) bool {
	if len(frames) < len(f.callSite) {
		return false
	}
	for i, name := range f.callSite {
		if flame.Name(frames[len(frames)-1-i]) != name {
			return false
		}
	}
	return true
}

// apply returns the parts without rows of other stacks. Merges stay as they are.
func (f *stackFilter) apply(parts merged) merged {
	if len(f.callSite) == 0 {
		return parts
	}
	for i := range parts {
		p := &parts[i]
		known := make([]int8, len(p.merge.Stacks)) // 1 for yes, -1 for no
		k := *p.kind
		k.Rows = nil
		for j := range p.kind.Rows {
			row := &p.kind.Rows[j]
			if known[row.Stack] == 0 {
				known[row.Stack] = -1
				if f.has(p.merge.Stacks[row.Stack].Frames) {
					known[row.Stack] = 1
				}
			}
			if known[row.Stack] > 0 {
				k.Rows = append(k.Rows, *row)
			}
		}
		k.TotalRows = len(k.Rows)
		p.kind = &k
	}
	return parts
}

// observations selects single observations by what they belong to. Empty lists select
// all.
type observations struct {
	profiles [][16]byte
	spans    [][8]byte
	traces   [][16]byte
}

// some reports whether not all are selected.
func (o *observations) some() bool { return len(o.profiles)+len(o.spans)+len(o.traces) > 0 }

// options are those that list the observations.
func (o *observations) options(limit int) profilestore.ExemplarOptions {
	return profilestore.ExemplarOptions{ProfileIDs: o.profiles, SpanIDs: o.spans, TraceIDs: o.traces, Limit: limit}
}
