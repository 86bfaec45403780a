package apertureapiextension

import (
	"context"

	"github.com/aperture-collector/aperture-collector/internal/flame"
	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// folded are the options of trees that are written as folded lines.
var folded = flame.Options{Rename: flame.FoldedName}

// forestSize is for the call paths of some 100,000 stacks, in bytes. They are
// remembered once they have been asked for.
const forestSize = 64 << 20

// collapsed returns the tree of the kind that q names, nil if there are no
// profiles of it.
func (a *api) collapsed(ctx context.Context, q *query) (tree *flame.Tree, truncated bool, err error) {
	p, truncated, err := a.selectKind(ctx, q, false)
	if p == nil || err != nil {
		return nil, false, err
	}
	k := *p.Kind
	k.Rows = withStack(p.Merge, k.Rows)
	// Of stacks that are made up for the answer there is nothing to remember.
	if a.store == nil || p.BySyscall {
		return flame.Build(p.Merge, &k, folded), truncated, nil
	}
	return a.forest.Build(p.Merge, &k), truncated, nil
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
