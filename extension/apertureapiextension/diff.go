package apertureapiextension

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/aperture-collector/aperture-collector/internal/diff"
	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// diffQuery is what a request for a diff asks for.
type diffQuery struct {
	// common has what holds for both sides: tenant, kind, service, labels, limit
	// and order.
	common query
	// baseline and comparison have the agent and the times of each side, and its
	// labels if they are not those of both.
	baseline, comparison query
	normalize            diff.Normalize
}

// kindError says that there is no such kind of profiles, in the words that
// clients of the Aperture API know it by.
type kindError struct{ kind string }

func (e *kindError) Error() string {
	return fmt.Sprintf("event_type must be cpu, lock, or syscall, got %s (or any other kind of profile that is stored)", e.kind)
}

// rpcText is the error as the RPC has it.
func (e *kindError) rpcText() string {
	return fmt.Sprintf("event_type must be 'cpu', 'lock', or 'syscall', got '%s' (or any other kind of profile that is stored)", e.kind)
}

// Unwrap makes it a fault of the request.
func (*kindError) Unwrap() error { return profile.ErrInvalid }

// setKind takes the kind, which must be named: a diff is of one.
func (q *diffQuery) setKind(v string) error {
	if v == "" || q.common.setKind(v) != nil {
		return &kindError{string([]rune(v[:min(len(v), 256)]))}
	}
	return nil
}

func (q *diffQuery) setNormalize(v string) error {
	for _, n := range []diff.Normalize{diff.None, diff.Share, diff.Rate} {
		if v == n.String() {
			q.normalize = n
			return nil
		}
	}
	return invalid("normalize", "it is %s; it must be none, share or rate", excerpt(fmt.Appendf(nil, "%q", v)))
}

// The sides of a diff, as fields are named.
const (
	baselineSide   = "baseline"
	comparisonSide = "comparison"
)

// sideFields are the fields of a query that each side has.
var sideFields = map[string]string{
	"agent_id":      "_agent_id",
	"time_start_ns": "_start_ns",
	"time_end_ns":   "_end_ns",
}

// sideError names the field of a side instead of that of a query.
func sideError(side string, err error) error {
	var field *fieldError
	if !errors.As(err, &field) {
		return err
	}
	suffix, ok := sideFields[field.field]
	if !ok {
		return err
	}
	// An end can be before the start.
	const start = "time_start_ns"
	return &fieldError{side + suffix, strings.ReplaceAll(field.message, "`"+start+"`", "`"+side+sideFields[start]+"`")}
}

// selectors return what to read for each side.
func (q *diffQuery) selectors() (baseline, comparison profilestore.Selector) {
	of := func(side *query) profilestore.Selector {
		both := q.common
		both.agentID, both.start, both.end = side.agentID, side.start, side.end
		if side.labels != nil {
			both.labels = side.labels
		}
		return both.selector()
	}
	return of(&q.baseline), of(&q.comparison)
}

// diff answers a query: both sides are read in full, whatever the limit of the
// answer: what changed most may be small.
func (a *api) diff(ctx context.Context, q *diffQuery) (*diff.Result, error) {
	return a.compare(ctx, q, a.cfg.StacksCap, q.common.rows(a.cfg.MaxStacks, a.cfg.StacksCap))
}

// compare reads up to so many stacks of both sides at once and returns so many
// rows of those that changed most.
func (a *api) compare(ctx context.Context, q *diffQuery, stacks, rows int) (*diff.Result, error) {
	reader, err := a.reader()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, a.cfg.QueryTimeout)
	defer cancel()
	kind := q.common.kind
	opts := profilestore.MergeOptions{
		ByLock:    kind == profile.KindLock,
		BySyscall: kind == profile.KindSyscall,
		NoStacks:  kind == profile.KindSyscall,
		// One more, because what came without a stack is a row, too.
		MaxStacks: stacks + 1,
	}
	b, c := q.selectors()
	baseline, comparison := diff.Window{Start: b.Start, End: b.End}, diff.Window{Start: c.Start, End: c.End}
	group, groupCtx := errgroup.WithContext(ctx)
	read := func(side string, sel profilestore.Selector, w *diff.Window) {
		group.Go(func() (err error) {
			if w.Merge, err = reader.MergeStacks(groupCtx, sel, opts); err != nil {
				return fmt.Errorf("%s: %w", side, cause(ctx, err))
			}
			return nil
		})
	}
	read(baselineSide, b, &baseline)
	read(comparisonSide, c, &comparison)
	if err := group.Wait(); err != nil {
		return nil, err
	}
	found := baseline.Merge
	if len(found.Kinds) == 0 {
		found = comparison.Merge
	}
	var field *fieldError
	if err := a.checkKind(ctx, reader, &q.common, found); errors.As(err, &field) {
		return nil, &kindError{kind}
	} else if err != nil {
		return nil, err
	}
	return diff.Compute(kind, baseline, comparison, diff.Options{
		Normalize: q.normalize,
		MaxRows:   rows,
	}), nil
}
