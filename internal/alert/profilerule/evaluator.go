package profilerule

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

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
	// MaxQueries is how many different queries the rules of one tenant get in one
	// evaluation, 200 if it is 0, at least 2. If they need more, some rules wait for
	// the next evaluation; those that were evaluated the longest ago come first.
	MaxQueries int
	// Delay is how long before now windows end: what arrives later than that is not
	// counted.
	Delay time.Duration
	// Grace is for how long a rule keeps its state that had a value and for which
	// nothing is observed any more.
	Grace time.Duration
	// ExternalURL is what links begin with: where the HTTP API is for people,
	// without a slash at the end. Without it links are paths.
	ExternalURL string
}

const (
	defaultConcurrency = 4
	defaultMaxQueries  = 200
	// maxRuleQueries is how many queries one rule needs.
	maxRuleQueries = 2
)

// Evaluator finds the values of rules on profiles. It is safe for concurrent use.
type Evaluator struct {
	opts    Options
	history history
}

var _ alert.Evaluator = (*Evaluator)(nil)

// New returns an Evaluator.
func New(o Options) *Evaluator {
	if o.Concurrency <= 0 {
		o.Concurrency = defaultConcurrency
	}
	if o.MaxQueries <= 0 {
		o.MaxQueries = defaultMaxQueries
	}
	o.MaxQueries = max(o.MaxQueries, maxRuleQueries)
	return &Evaluator{opts: o}
}

// plan is a rule and the queries that it needs.
type plan struct {
	rule *alert.Rule
	ruleHistory
	spec          Spec
	err           error
	now, baseline *read
}

func (p *plan) reads() []*read {
	if p.baseline == nil {
		return []*read{p.now}
	}
	return []*read{p.now, p.baseline}
}

// Evaluate implements [alert.Evaluator]: rules on the same profiles and times
// share a query, and tenants take turns. rules are all rules of their tenants.
func (e *Evaluator) Evaluate(ctx context.Context, now time.Time, rules []alert.Rule) []alert.Result {
	plans := make([]plan, len(rules))
	reads := make(map[string]*read)
	for i := range rules {
		plans[i] = newPlan(&rules[i], now.Add(-e.opts.Delay), reads)
	}
	e.history.recall(plans)
	e.run(ctx, choose(plans, e.opts.MaxQueries))
	results := make([]alert.Result, len(rules))
	for i := range plans {
		results[i] = e.result(&plans[i], now)
	}
	e.history.keep(plans, now)
	return results
}

func newPlan(rule *alert.Rule, end time.Time, reads map[string]*read) plan {
	p := plan{rule: rule}
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
	from, to := p.spec.window(end)
	p.now = share(from, to)
	if p.spec.Metric == ChangeVsBaseline {
		offset := int64(p.spec.BaselineOffset)
		p.baseline = share(from-offset, to-offset)
	}
	return p
}

// run asks what is chosen.
func (e *Evaluator) run(ctx context.Context, tenants []*tenantTurn) {
	if len(tenants) == 0 {
		return
	}
	reader, err := e.opts.Reader()
	queue := turns{tenants: tenants}
	var group sync.WaitGroup
	for range e.opts.Concurrency {
		group.Go(func() {
			for t, r := queue.next(); r != nil; t, r = queue.next() {
				begun := time.Now()
				if r.err = err; err == nil {
					e.query(ctx, reader, r)
				}
				queue.done(t, time.Since(begun))
			}
		})
	}
	group.Wait()
}

func (e *Evaluator) query(ctx context.Context, reader profilestore.Reader, r *read) {
	if ctx.Err() != nil {
		r.err = fmt.Errorf("read profiles: no time is left in this evaluation: %w", context.Cause(ctx))
		return
	}
	r.begun = true
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

// result returns the result of a rule, and notes in p what to keep of it.
func (e *Evaluator) result(p *plan, now time.Time) alert.Result {
	res := alert.Result{Metric: p.spec.Metric, Err: p.err}
	if p.err != nil {
		return res
	}
	tried := true
	for _, r := range p.reads() {
		if !r.chosen {
			r.err = fmt.Errorf("the rules of the tenant need more than %d queries: this one is evaluated in a later evaluation", e.opts.MaxQueries)
		}
		tried = tried && r.begun
	}
	if tried {
		p.tried = now
	}
	res.Value, res.Err = p.spec.value(p.now, p.baseline)
	if res.Err == nil {
		res.Err = p.bounded()
	}
	res.Link = e.opts.ExternalURL + p.spec.link(p.now.sel.Start, p.now.sel.End)
	var empty noData
	switch {
	case res.Err == nil:
		p.found = now
		res.Message = p.message(p.rule, res.Value)
	case errors.Is(res.Err, errNothing) && !p.found.IsZero() && now.Sub(p.found) < e.opts.Grace:
		res.Err = fmt.Errorf("%w; the state is kept for %s", res.Err, Duration(e.opts.Grace))
	default:
		res.NoData = errors.As(res.Err, &empty)
	}
	return res
}

// bounded returns an error if the value is a lower bound and the condition is that
// it is low.
func (p *plan) bounded() error {
	if !p.now.truncated || p.spec.Metric != FunctionShare && p.spec.Metric != StackShare {
		return nil
	}
	if p.rule.Operator != alert.Greater && p.rule.Operator != alert.GreaterOrEqual {
		return fmt.Errorf("there are more than %d stacks: the share is a lower bound and says nothing on `%s`", maxRows, p.rule.Operator)
	}
	return nil
}
