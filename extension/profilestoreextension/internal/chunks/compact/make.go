package compact

import (
	"context"
	"errors"
	"time"

	"github.com/ClickHouse/ch-go/proto"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/chunkrow"
	"github.com/aperture-collector/aperture-collector/internal/chunk"
)

const (
	// loadBytes bounds the rows that are read together, unless one job has more,
	// loadRows their number: their ids are part of the statement.
	loadBytes = 32 << 20
	loadRows  = 8192
	// roundsAtOnce bounds how many rows of a key are made in a pass.
	roundsAtOnce = 16
)

// task is what is to be made of the rows of a key: one row by each job, with numbers
// from seq on.
type task struct {
	*known
	snapshot *snapshot
	jobs     []job
	// seq is the number of the row of the first job, attempt counts the tokens that were
	// tried for it.
	seq, attempt uint32
}

// made is a row of a task's first job that was stored.
type made struct {
	*task
	id    uint64
	nonce proto.UInt128
	bytes int64
	took  time.Duration
}

var errLate = errors.New("compaction took too long")

// make makes the rows of tasks, which were found by one SELECT. It ends a task early if
// the state is another one by now.
func (c *Compactor) make(ctx context.Context, tasks []*task) error {
	if len(tasks) == 0 {
		return nil
	}
	// What the rows replace was there when the snapshot was taken. They must not be
	// stored so late that others may have replaced and deleted that since.
	ctx, cancel := context.WithDeadlineCause(ctx, tasks[0].snapshot.taken.Add(c.opts.Rules.DeleteDelay/2), errLate)
	defer cancel()
	// One row of each key at a time: who makes the row of a number must know that the
	// one of the number before is his own. What is left after some is for the next pass,
	// so that no key keeps others waiting.
	for n := 0; n < roundsAtOnce && len(tasks) > 0; n++ {
		if err := c.round(ctx, tasks); err != nil {
			return err
		}
		var rest []*task
		for _, t := range tasks {
			if len(t.jobs) > 0 {
				rest = append(rest, t)
			}
		}
		tasks = rest
	}
	return nil
}

// round does the first job of every task.
func (c *Compactor) round(ctx context.Context, tasks []*task) error {
	stored := make([]made, 0, len(tasks))
	for len(tasks) > 0 {
		n := loadable(tasks)
		begin := time.Now()
		rows, err := c.load(ctx, tasks[:n])
		if err != nil {
			return err
		}
		loading := time.Since(begin) / time.Duration(n)
		for i, t := range tasks[:n] {
			begin := time.Now()
			row, err := c.merge(ctx, t, rows[i])
			if err != nil {
				return err
			}
			rows[i] = nil
			if row == nil {
				t.jobs = nil
				continue
			}
			if err := c.store(ctx, t, row); err != nil {
				return err
			}
			stored = append(stored, made{t, row.ID, row.Nonce, int64(row.Bytes()), loading + time.Since(begin)})
		}
		tasks = tasks[n:]
	}
	return c.claim(ctx, stored)
}

// loadable returns of how many tasks the rows of the first job are read together.
func loadable(tasks []*task) (n int) {
	bytes, rows := int64(0), 0
	for _, t := range tasks {
		for _, s := range t.jobs[0].inputs {
			bytes += s.bytes
		}
		rows += len(t.jobs[0].inputs)
		if n > 0 && (bytes > loadBytes || rows > loadRows) {
			break
		}
		n++
	}
	return n
}

// merge makes the row of the first job of a task, nil if its rows have changed or none
// of them fits into one with the next.
func (c *Compactor) merge(ctx context.Context, t *task, rows []*chunkrow.Row) (*chunkrow.Row, error) {
	if len(rows) < len(t.jobs[0].inputs) {
		return nil, nil
	}
	row, err := c.fit(t, rows)
	var damaged *DamagedError
	if errors.As(err, &damaged) {
		// They stay as they are; the others are compacted without them.
		for _, id := range damaged.IDs {
			t.damaged[id] = true
		}
		c.failed(ctx, err)
		return nil, nil
	}
	if row == nil || err != nil {
		return nil, err
	}
	row.Level, row.Seq, row.ID, row.Nonce = t.jobs[0].level, t.seq, chunkrow.CompactedRowID(&t.Key, t.seq), chunkrow.NewNonce()
	if row.Level == chunkrow.ClosedHour {
		if err := c.number(ctx, row, t.snapshot.now); err != nil {
			return nil, err
		}
		c.closed()
	}
	return row, nil
}

// fit makes a row of as many rows of the first job as fit into one, by halves. The job
// becomes one of these, and several of the others. A row of minutes is not made of one
// alone, which would only be written again: what fits with nothing behind it stays as
// it is until its hour is closed. The row is nil if nothing is left.
func (c *Compactor) fit(t *task, rows []*chunkrow.Row) (*chunkrow.Row, error) {
	j := t.jobs[0]
	for n := len(rows); ; {
		row, err := c.merger.Merge(rows[:n])
		switch {
		case n > 1 && errors.Is(err, chunk.ErrFull):
			n /= 2
		case err != nil:
			return nil, err
		default:
			t.jobs = append(cut(j, n), t.jobs[1:]...)
			return row, nil
		}
		if n == 1 && j.level == chunkrow.Minutes {
			t.full[rows[0].ID] = true
			rows, j.inputs = rows[1:], j.inputs[1:]
			if n = len(rows); n == 1 {
				return nil, nil
			}
		}
	}
}

// cut returns the job of the first n inputs, and those of the others: each of as many as
// there are before it, which is what is left when halves did not fit.
func cut(j job, n int) (out []job) {
	for inputs := j.inputs; len(inputs) > 0; {
		out = append(out, job{j.level, inputs[:n]})
		inputs = inputs[n:]
		if len(out) > 1 {
			n *= 2
		}
		n = min(n, len(inputs))
	}
	return out
}
