package apertureapiextension

import (
	"io"
	"net/http"

	"github.com/aperture-collector/aperture-collector/internal/export"
	"github.com/aperture-collector/aperture-collector/internal/flame"
	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// folded are the options of trees that are written as folded lines.
var folded = flame.Options{Rename: flame.FoldedName}

// forestSize is for the call paths of some 100,000 stacks, in bytes. They are
// remembered once they have been asked for.
const forestSize = 64 << 20

// exportCollapsed sends the stacks of one kind, CPU by default, as folded lines.
func (a *api) exportCollapsed(w http.ResponseWriter, r *http.Request) {
	a.exportKind(w, r, &kindExport{
		operation: "export_collapsed", contentType: "text/plain; charset=utf-8", write: a.writeFolded,
		header: func(h http.Header) { h.Set("Content-Disposition", `attachment; filename="aperture-collapsed.txt"`) },
	})
}

func (a *api) writeFolded(out io.Writer, p *export.Profile) error {
	// Of stacks that are made up for the answer there is nothing to remember.
	if a.store == nil || p.BySyscall {
		return flame.WriteFolded(out, p.Merge, p.Kind, 0)
	}
	return a.forest.WriteFolded(out, p.Merge, p.Kind, 0)
}

// mainKind returns the kind whose sample types are those that we write. Profiles
// of others can claim to be of the same kind with types of their own; theirs are
// returned only where there are no others.
func mainKind(merge *profilestore.Merge) *profilestore.KindMerge {
	for i := range merge.Kinds {
		k := &merge.Kinds[i]
		if own := profile.Types(k.Kind); len(own) > 0 && len(k.Types) > 0 && k.Types[0] == own[0] {
			return k
		}
	}
	return &merge.Kinds[0]
}
