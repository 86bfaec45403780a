package life

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// work does what can be done for a job now, and writes down how far it is.
func (k *Keeper) work(ctx context.Context, j *job) error {
	err := k.advance(ctx, j)
	problem := ""
	if err != nil {
		if ctx.Err() != nil {
			return err
		}
		err = fmt.Errorf("delete %s %.64q of tenant %q, job %s: %w", j.target.Scope, j.target.Name, j.target.Tenant, j.id, err)
		problem = err.Error()
	}
	if problem != j.problem {
		j.problem = problem
		if saved := k.save(ctx, j); err == nil {
			err = saved
		}
	}
	return err
}

// advance takes a job as far as it goes without waiting:
//
// Rows that may still become others are replaced first. Then the fence is known:
// what compactors had read before is stored by then. After it these rows are
// looked at again, and all others are replaced. When nothing is left, and no query
// that began before can be running, the rows that do not count are deleted.
func (k *Keeper) advance(ctx context.Context, j *job) error {
	switch j.state {
	case pending, running:
		return k.hide(ctx, j)
	case purging:
		return k.purge(ctx, j)
	}
	return nil
}

// round is how far a job came with its keys, when other jobs had their turn before
// it was through.
type round struct {
	first    bool
	last     key // the last that was done; its rows are 0 before the first
	replaced int
}

// round returns that of a job, which somebody else may have worked on meanwhile.
func (k *Keeper) round(j *job) *round {
	first := j.fence == 0
	r := k.rounds[j.id]
	if r == nil || r.first != first {
		r = &round{first: first}
		k.rounds[j.id] = r
	}
	return r
}

func (k *Keeper) hide(ctx context.Context, j *job) error {
	now, err := k.now(ctx)
	if err != nil || now < j.fence {
		return err
	}
	e, err := newEraser(ctx, &k.t, j)
	if err != nil {
		return err
	}
	keys, _, err := e.keys(ctx)
	if err != nil {
		return err
	}
	r := k.round(j)
	if r.last.rows > 0 {
		keys = slices.DeleteFunc(keys, func(next key) bool { return next.compare(&r.last) <= 0 })
	}
	j.rowsLeft = 0
	for i := range keys {
		j.rowsLeft += keys[i].rows
	}
	j.state = running
	if err := k.save(ctx, j); err != nil {
		return err
	}
	through, err := k.eraseAll(ctx, e, keys, r)
	if err != nil {
		return err
	}
	if !through {
		k.again()
		return k.save(ctx, j)
	}
	if now, err = k.now(ctx); err != nil {
		return err
	}
	delete(k.rounds, j.id)
	switch {
	case r.first:
		// A tenth more than their deadline, for a statement to be seen.
		j.fence = now + k.opts.DeleteDelay.Milliseconds()*6/10
	case r.replaced > 0:
		return k.save(ctx, j) // and look again
	default:
		j.state, j.hidden, j.rowsLeft = purging, now, 0
	}
	return k.save(ctx, j)
}

// eraseAll replaces rows of keys, the first time only of those whose rows may become
// others. It returns false if its turn is over before it is through.
func (k *Keeper) eraseAll(ctx context.Context, e *eraser, keys []key, r *round) (through bool, err error) {
	begin := time.Now()
	saved := begin
	for i := range keys {
		if r.first && !keys[i].active {
			continue
		}
		fence := e.job.fence
		if r.first {
			fence = math.MaxInt64
		}
		n, err := e.erase(ctx, &keys[i].Key, fence)
		r.replaced += n
		e.job.rowsDone += uint64(n)
		if err != nil {
			return false, err
		}
		r.last = keys[i]
		e.job.rowsLeft -= min(e.job.rowsLeft, keys[i].rows)
		if i+1 < len(keys) && time.Since(begin) >= k.turn {
			return false, nil
		}
		if time.Since(saved) < progressEvery {
			continue
		}
		saved = time.Now()
		if err := k.save(ctx, e.job); err != nil {
			return false, err
		}
		if ok, err := k.lead(ctx); err != nil || !ok {
			return false, fmt.Errorf("renew lease: %w", orUnavailable(err))
		}
	}
	return true, nil
}

// turn is for how long a job replaces rows before others may go on: their first
// rounds must not come after the rows are gone that tell what was stored when.
const turn = 30 * time.Second

// progressEvery is how often figures are written.
const progressEvery = 5 * time.Second

func orUnavailable(err error) error {
	if err == nil {
		return fmt.Errorf("%w: somebody else has it", profilestore.ErrUnavailable)
	}
	return err
}
