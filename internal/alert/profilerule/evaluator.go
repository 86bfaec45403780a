package profilerule

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/aperture-collector/aperture-collector/internal/alert"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// Options are those of an [Evaluator].
type Options struct {
	// Reader returns where profiles are read from.
	Reader func() (profilestore.Reader, error)
	// Timeout bounds each query; 0 leaves it to the context.
	Timeout time.Duration
	// Concurrency is how many queries run at once, 4 if it is 0.
	Concurrency int
	// ExternalURL is what links begin with: where the HTTP API is for people,
	// without a slash at the end. Without it links are paths.
	ExternalURL string
}

const defaultConcurrency = 4

// Evaluator finds the values of rules on profiles. It is safe for concurrent use.
type Evaluator struct{ opts Options }

var _ alert.Evaluator = (*Evaluator)(nil)

// New returns an Evaluator.
func New(o Options) *Evaluator {
	if o.Concurrency <= 0 {
		o.Concurrency = defaultConcurrency
	}
	return &Evaluator{opts: o}
}

// plan is a rule and the queries that it needs.
type plan struct {
	spec          Spec
	err           error
	now, baseline *read
}

// Evaluate implements [alert.Evaluator]: rules on the same profiles and times
// share a query.
func (e *Evaluator) Evaluate(ctx context.Context, now time.Time, rules []alert.Rule) []alert.Result {
	plans := make([]plan, len(rules))
	reads := make(map[string]*read)
	for i := range rules {
		plans[i] = newPlan(&rules[i], now, reads)
	}
	e.run(ctx, reads)
	results := make([]alert.Result, len(rules))
	for i := range rules {
		results[i] = e.result(&rules[i], &plans[i])
	}
	return results
}

func newPlan(rule *alert.Rule, now time.Time, reads map[string]*read) plan {
	var p plan
	if p.err = json.Unmarshal(rule.Spec, &p.spec); p.err != nil {
		p.err = fmt.Errorf("read rule: %w", p.err)
		return p
	}
	if p.spec, p.err = p.spec.Check(); p.err != nil {
		return p
	}
	share := func(start, end int64) *read {
		sel := selector(rule.Tenant, &p.spec)
		sel.Start, sel.End = start, end
		key := readKey(&sel)
		if reads[key] == nil {
			reads[key] = newRead(sel)
		}
		reads[key].want(&p.spec)
		return reads[key]
	}
	start, end := p.spec.window(now)
	p.now = share(start, end)
	if p.spec.Metric == ChangeVsBaseline {
		offset := int64(p.spec.BaselineOffset)
		p.baseline = share(start-offset, end-offset)
	}
	return p
}

// window returns the bounds of the window in Unix nanoseconds. Its end is cut down
// to a step, so that evaluations of about the same time, by several replicas and on
// demand, ask the store the same. The step is short: what happened since counts
// only the next time.
func (s *Spec) window(now time.Time) (start, end int64) {
	const parts, shortest, longest = 60, time.Second, 10 * time.Second
	step := min(max(time.Duration(s.Window)/parts, shortest), longest)
	end = now.Truncate(step).UnixNano()
	return end - int64(s.Window), end
}

// run answers the queries.
func (e *Evaluator) run(ctx context.Context, reads map[string]*read) {
	if len(reads) == 0 {
		return
	}
	reader, err := e.opts.Reader()
	var group errgroup.Group
	group.SetLimit(e.opts.Concurrency)
	for _, r := range reads {
		if err != nil {
			r.err = err
			continue
		}
		group.Go(func() error {
			e.query(ctx, reader, r)
			return nil
		})
	}
	_ = group.Wait()
}

func (e *Evaluator) query(ctx context.Context, reader profilestore.Reader, r *read) {
	if ctx.Err() != nil {
		r.err = context.Cause(ctx)
		return
	}
	if e.opts.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, e.opts.Timeout)
		defer cancel()
	}
	merge, err := reader.MergeStacks(ctx, r.sel, r.opts)
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		r.err = fmt.Errorf("read profiles: %w", err)
		return
	}
	r.take(merge)
}

func (e *Evaluator) result(rule *alert.Rule, p *plan) alert.Result {
	res := alert.Result{Metric: p.spec.Metric, Err: p.err}
	if p.err != nil {
		return res
	}
	res.Value, res.Err = p.spec.value(p.now, p.baseline)
	var empty noData
	res.NoData = errors.As(res.Err, &empty)
	res.Link = e.opts.ExternalURL + p.spec.link(p.now.sel.Start, p.now.sel.End)
	if res.Err == nil {
		res.Message = p.message(rule, res.Value)
	}
	return res
}
