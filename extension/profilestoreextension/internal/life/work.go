package life

import (
	"context"
	"fmt"
	"math"
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
	j.rowsLeft = 0
	for i := range keys {
		j.rowsLeft += keys[i].rows
	}
	j.state = running
	if err := k.save(ctx, j); err != nil {
		return err
	}
	first := j.fence == 0
	n, err := k.eraseAll(ctx, e, keys, first)
	if err != nil {
		return err
	}
	if now, err = k.now(ctx); err != nil {
		return err
	}
	switch {
	case first:
		// A tenth more than their deadline, for a statement to be seen.
		j.fence = now + k.opts.DeleteDelay.Milliseconds()*6/10
	case n > 0:
		return k.save(ctx, j) // and look again
	default:
		j.state, j.hidden, j.rowsLeft = purging, now, 0
	}
	return k.save(ctx, j)
}

// eraseAll replaces rows of keys, the first time only of those whose rows may become
// others, and returns how many.
func (k *Keeper) eraseAll(ctx context.Context, e *eraser, keys []key, first bool) (n int, err error) {
	saved := time.Now()
	for i := range keys {
		fence := e.job.fence
		switch {
		case first && !keys[i].active:
			continue
		case first:
			fence = math.MaxInt64
		case !keys[i].active:
			// Nobody makes other rows of these.
			fence = e.job.cut
		}
		m, err := e.erase(ctx, &keys[i].Key, fence)
		n += m
		e.job.rowsDone += uint64(m)
		if err != nil {
			return n, err
		}
		e.job.rowsLeft -= min(e.job.rowsLeft, keys[i].rows)
		if time.Since(saved) < progressEvery {
			continue
		}
		saved = time.Now()
		if err := k.save(ctx, e.job); err != nil {
			return n, err
		}
		if ok, err := k.lead(ctx); err != nil || !ok {
			return n, fmt.Errorf("renew lease: %w", orUnavailable(err))
		}
	}
	return n, nil
}

// progressEvery is how often figures are written.
const progressEvery = 5 * time.Second

func orUnavailable(err error) error {
	if err == nil {
		return fmt.Errorf("%w: somebody else has it", profilestore.ErrUnavailable)
	}
	return err
}
