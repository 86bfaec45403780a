package aggregate

import (
	"unsafe"

	"go.opentelemetry.io/collector/pdata/pprofile"

	"github.com/aperture-collector/aperture-collector/internal/profile"
)

// exemplarBytes is about what an exemplar takes, with its place in the map.
const exemplarBytes = 3*int64(unsafe.Sizeof(profile.Exemplar{}))/2 + 2*int64(unsafe.Sizeof(spanKey{}))

// spanKey is what values of spans are summed up by.
type spanKey struct {
	group, entry int32
	link         profile.Link
	profile      pprofile.ProfileID
}

// addExemplars adds those of src, whose entries are in dst by now.
func (w *Window) addExemplars(src *profile.Group, dst *group) {
	for i := range src.Exemplars {
		x := src.Exemplars[i]
		e := &src.Entries[x.Entry]
		x.Entry, _ = w.table.index.Find(dst.number, w.stackSlot[e.Stack], w.attrsSlot[e.Attrs], 0)
		key := spanKey{dst.number, x.Entry, x.Link, x.ProfileID}
		if at, ok := w.spans[key]; ok {
			dst.exemplars[at].Add(x.Value, x.Time)
			continue
		}
		if len(dst.exemplars) >= profile.DefaultMaxExemplars {
			w.dropped++
			continue
		}
		if w.spans == nil {
			w.spans = make(map[spanKey]int32)
		}
		w.spans[key] = int32(len(dst.exemplars))
		dst.exemplars = append(dst.exemplars, x)
		w.bytes += exemplarBytes
	}
}

// ExemplarsDropped is the number of exemplars that were left out because a group had as
// many as it may have.
func (w *Window) ExemplarsDropped() uint64 { return w.dropped }
