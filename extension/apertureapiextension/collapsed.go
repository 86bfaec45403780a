package apertureapiextension

import (
	"context"
	"net/http"

	"github.com/aperture-collector/aperture-collector/internal/aperturejson"
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
func (a *api) collapsed(r *http.Request, q *query) (tree *flame.Tree, truncated bool, err error) {
	reader, err := a.reader()
	if err != nil {
		return nil, false, err
	}
	ctx, cancel := context.WithTimeout(r.Context(), a.cfg.QueryTimeout)
	defer cancel()
	rows := q.rows(a.cfg.StacksCap, a.cfg.StacksCap)
	merge, err := reader.MergeStacks(ctx, q.selector(), profilestore.MergeOptions{
		BySyscall: q.kind == profile.KindSyscall,
		MaxStacks: rows + 1, // what came without a stack is a row, too
	})
	if err != nil {
		return nil, false, cause(ctx, err)
	}
	if len(merge.Kinds) == 0 {
		return nil, false, a.checkKind(ctx, reader, q, merge)
	}
	k := *mainKind(merge) // a copy: the merge is shared
	truncated = k.TotalRows > len(k.Rows)
	if k.Rows = withStack(merge, k.Rows); len(k.Rows) == 0 && len(k.Syscalls) > 0 {
		return syscallTree(&k), false, nil
	}
	if len(k.Rows) > rows {
		k.Rows, truncated = k.Rows[:rows], true
	}
	if a.store == nil {
		return flame.Build(merge, &k, folded), truncated, nil
	}
	return a.forest.Build(merge, &k), truncated, nil
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

// syscallTree is the tree of system calls whose producers record no stacks: one
// path per system call.
func syscallTree(k *profilestore.KindMerge) *flame.Tree {
	m := profilestore.Merge{Kinds: []profilestore.KindMerge{{Kind: k.Kind}}}
	for i := range k.Syscalls {
		s := &k.Syscalls[i]
		f := &profile.Frame{Type: profile.FrameKernel, Function: profile.Function{Name: aperturejson.SyscallName(s)}}
		m.Stacks = append(m.Stacks, profilestore.Stack{Frames: []*profile.Frame{f}})
		m.Kinds[0].Rows = append(m.Kinds[0].Rows, profilestore.Row{Stack: int32(i), Values: flame.Values{s.Total}})
	}
	return flame.Build(&m, &m.Kinds[0], folded)
}
