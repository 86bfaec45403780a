package profilestore

import (
	"context"
	"maps"
	"sync"
	"time"
)

// Trace collects what answering a request took: a tree of steps. It is safe for
// concurrent use. A context without one costs a look-up by step.
type Trace struct{ root *Step }

// Step is a part of a [Trace]. A nil step takes everything and keeps nothing.
type Step struct {
	begin time.Time

	mu   sync.Mutex
	data StepData
	ends bool
	// steps are those within this one, in order of their begins.
	steps []*Step
}

// StepData is what is known of a step, to be encoded as JSON.
type StepData struct {
	Name string `json:"name"`
	// Start is when the step began after the request did, in milliseconds.
	Start float64 `json:"start_ms"`
	// Duration is in milliseconds; 0 if the step has not ended.
	Duration float64 `json:"duration_ms"`
	// SQL is the text of a query. Text that callers gave stays out of it: there are
	// placeholders. Times and limits are written out.
	SQL string `json:"sql,omitempty"`
	// QueryID is that of ClickHouse.
	QueryID string `json:"query_id,omitempty"`
	// Figures are counts by name; names say the unit.
	Figures map[string]int64 `json:"figures,omitempty"`
	Error   string           `json:"error,omitempty"`
	// Steps are those within.
	Steps []StepData `json:"steps,omitempty"`
}

type stepKey struct{}

// WithTrace returns a context whose steps are kept, below one of this name.
func WithTrace(ctx context.Context, name string) (context.Context, *Trace) {
	root := &Step{begin: time.Now(), data: StepData{Name: name}}
	return context.WithValue(ctx, stepKey{}, root), &Trace{root}
}

// Traced reports whether the steps of ctx are kept.
func Traced(ctx context.Context) bool {
	_, ok := ctx.Value(stepKey{}).(*Step)
	return ok
}

// maxSteps bounds the steps within one.
const maxSteps = 1000

// StartStep begins a step below the one that ctx is in. It returns nil, and ctx as
// it is, unless ctx has a trace.
func StartStep(ctx context.Context, name string) (context.Context, *Step) {
	parent, ok := ctx.Value(stepKey{}).(*Step)
	if !ok {
		return ctx, nil
	}
	s := &Step{begin: time.Now(), data: StepData{Name: name}}
	parent.mu.Lock()
	defer parent.mu.Unlock()
	if len(parent.steps) >= maxSteps {
		return ctx, nil
	}
	parent.steps = append(parent.steps, s)
	return context.WithValue(ctx, stepKey{}, s), s
}

// Query says that the step is a query of ClickHouse. text must not hold what
// callers gave.
func (s *Step) Query(id, text string) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.data.QueryID, s.data.SQL = id, text
}

// Add adds to a figure.
func (s *Step) Add(name string, n int64) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.data.Figures == nil {
		s.data.Figures = make(map[string]int64)
	}
	s.data.Figures[name] += n
}

// End ends the step. err may be nil.
func (s *Step) End(err error) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ends {
		return
	}
	s.ends, s.data.Duration = true, milliseconds(time.Since(s.begin))
	if err != nil {
		s.data.Error = err.Error()
	}
}

// Data ends the trace and returns what it has so far.
func (t *Trace) Data() StepData {
	t.root.End(nil)
	return t.root.snapshot(t.root.begin)
}

func (s *Step) snapshot(origin time.Time) StepData {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.data
	out.Start = milliseconds(s.begin.Sub(origin))
	out.Figures = maps.Clone(s.data.Figures)
	for _, step := range s.steps {
		out.Steps = append(out.Steps, step.snapshot(origin))
	}
	return out
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
