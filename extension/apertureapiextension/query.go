package apertureapiextension

import (
	"context"
	"math"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/sync/errgroup"

	"github.com/aperture-collector/aperture-collector/internal/aperturejson"
	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// Bounds of what a request can say.
const (
	maxTextLength = 1024 // bytes of a string
	maxLabels     = 64
)

// query is what a request for profiles asks for.
type query struct {
	tenant  string
	agentID *string
	// start and end are Unix nanoseconds, start <= t < end, 0 for unbounded;
	// they have the first and the last of the request if it named one.
	start, end           int64
	firstTime, finalTime *int64
	kind                 string // empty for all
	service              string
	labels               map[string]string
	limit                *int // of rows; nil for the default
	order                aperturejson.FrameOrder
}

// ownKinds are accepted whether or not there are profiles of them.
var ownKinds = []string{profile.KindCPU, profile.KindLock, profile.KindSyscall, profile.KindOffCPU, profile.KindGPU, profile.KindLockIdle}

func (q *query) setAgentID(v string) error {
	if err := checkName("agent_id", v); err != nil {
		return err
	}
	q.agentID = &v
	return nil
}

func (q *query) setService(v string) error {
	q.service = v
	return checkName("service", v)
}

func (q *query) setLabel(name, value string) error {
	if err := checkName("labels", name); err != nil {
		return err
	}
	if name == "" {
		return invalid("labels", "a name is empty")
	}
	if q.labels == nil {
		q.labels = make(map[string]string)
	}
	q.labels[name] = value
	if len(q.labels) > maxLabels {
		return invalid("labels", "there are more than %d", maxLabels)
	}
	return checkName("labels."+name, value)
}

func (q *query) setKind(v string) error {
	q.kind = v
	if slices.Contains(ownKinds, v) {
		return nil
	}
	if len(v) > 128 || strings.ContainsFunc(v, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return unknownKind(v)
	}
	return nil
}

func unknownKind(v string) error {
	return invalid("event_type", "it is %q; it must be one of %s or a kind of profile that is stored, or left out for all", v, strings.Join(ownKinds, ", "))
}

func (q *query) setOrder(v string) error {
	switch v {
	case "", "upstream":
		q.order = aperturejson.Upstream
	case "leaf_first":
		q.order = aperturejson.LeafFirst
	default:
		return invalid("frame_order", "it is %q; it must be upstream or leaf_first", v)
	}
	return nil
}

func (q *query) setLimit(v int64) error {
	if v < 0 {
		return invalid("limit", "it is %d; it must be at least 0", v)
	}
	n := int(min(v, math.MaxInt32))
	q.limit = &n
	return nil
}

func (q *query) setStart(v int64) error {
	if v < 0 {
		return invalid("time_start_ns", "it is %d; it must be at least 0", v)
	}
	q.firstTime, q.start = &v, startTime(v)
	return nil
}

func (q *query) setEnd(v int64) error {
	if v < 0 {
		return invalid("time_end_ns", "it is %d; it must be at least 0", v)
	}
	q.finalTime, q.end = &v, endTime(v)
	return nil
}

// check holds the fields against each other.
func (q *query) check() error {
	if q.end != 0 && q.end <= q.start {
		return invalid("time_end_ns", "it is %d, before `time_start_ns`, which is %d", *q.finalTime, *q.firstTime)
	}
	return nil
}

// checkName checks what something stored must be equal to.
func checkName(field, v string) error {
	if !utf8.ValidString(v) {
		return invalid(field, "it is not UTF-8")
	}
	return checkText(field, v)
}

func checkText(field, v string) error {
	if len(v) > maxTextLength {
		return invalid(field, "it is %d bytes long; the limit is %d", len(v), maxTextLength)
	}
	return nil
}

// nanosecondsFrom is the smallest time that is taken for nanoseconds; smaller
// ones are milliseconds, which clients of the Aperture API send as well. It is
// 1970-01-12 in nanoseconds and the year 33658 in milliseconds.
const nanosecondsFrom = 1e15

const nsPerMS = 1_000_000

// startTime returns the first nanosecond that a request's start time includes.
func startTime(v int64) int64 {
	if v >= nanosecondsFrom {
		return v
	}
	if v > math.MaxInt64/nsPerMS {
		return math.MaxInt64
	}
	return v * nsPerMS
}

// endTime returns the first nanosecond after a request's end time, which is
// inclusive; 0 if there is none.
func endTime(v int64) int64 {
	if v < nanosecondsFrom {
		if v >= math.MaxInt64/nsPerMS {
			return 0
		}
		return (v + 1) * nsPerMS
	}
	if v == math.MaxInt64 {
		return 0
	}
	return v + 1
}

func (q *query) selector() profilestore.Selector {
	sel := profilestore.Selector{Tenant: q.tenant, Service: q.service, AgentID: q.agentID, Start: q.start, End: q.end}
	if q.kind != "" {
		sel.Kinds = []string{q.kind}
	}
	for name, value := range q.labels {
		sel.Matchers = append(sel.Matchers, profilestore.Matcher{Name: name, Value: value})
	}
	slices.SortFunc(sel.Matchers, func(a, b profilestore.Matcher) int { return strings.Compare(a.Name, b.Name) })
	return sel
}

// rows returns how many rows the answer has at most.
func (q *query) rows(byDefault, most int) int {
	if q.limit == nil {
		return byDefault
	}
	return min(*q.limit, most)
}

// reader returns where profiles are read from.
func (a *api) reader() (profilestore.Reader, error) {
	if a.store != nil {
		return a.store, nil
	}
	if r := a.views.reader(); r != nil {
		return r, nil
	}
	return nil, errNoStorage
}

// result is the answer to a query.
type result struct {
	merge *profilestore.Merge
	// events is the number of observations of every kind.
	events uint64
	rows   int
	order  aperturejson.FrameOrder
}

// truncated reports whether stacks were left out.
func (r *result) truncated() bool {
	return slices.ContainsFunc(r.merge.Kinds, func(k profilestore.KindMerge) bool {
		// System calls are told apart by number, all of them.
		return k.Kind != profile.KindSyscall && (k.TotalRows > len(k.Rows) || len(withStack(r.merge, k.Rows)) > r.rows)
	})
}

// withStack returns the rows that have a stack.
func withStack(m *profilestore.Merge, rows []profilestore.Row) []profilestore.Row {
	return slices.DeleteFunc(slices.Clone(rows), func(row profilestore.Row) bool {
		return len(m.Stacks[row.Stack].Frames) == 0
	})
}

// aggregate answers a query in full: every kind, locks and system calls apart.
func (a *api) aggregate(ctx context.Context, q *query) (*result, error) {
	reader, err := a.reader()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, a.cfg.QueryTimeout)
	defer cancel()
	r := &result{rows: q.rows(a.cfg.MaxStacks, a.cfg.StacksCap), order: q.order}
	sel := q.selector()
	group, groupCtx := errgroup.WithContext(ctx)
	group.Go(func() (err error) {
		r.merge, err = reader.MergeStacks(groupCtx, sel, profilestore.MergeOptions{
			ByLock:    true,
			BySyscall: true,
			// Nothing of a system call's stacks is shown.
			NoStacks: q.kind == profile.KindSyscall,
			// One more, because what came without a stack is a row, too. (0 would
			// be the reader's own limit.)
			MaxStacks: r.rows + 1,
		})
		return err
	})
	if q.kind != "" {
		all := sel
		all.Kinds = nil
		group.Go(func() (err error) {
			r.events, err = reader.CountEvents(groupCtx, all)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, cause(ctx, err)
	}
	if q.kind == "" {
		for i := range r.merge.Kinds {
			r.events = profile.AddCount(r.events, r.merge.Kinds[i].Events)
		}
	}
	return r, a.checkKind(ctx, reader, q, r.merge)
}

// cause returns why a query failed. When its time is over, a driver may say so
// in words of its own.
func cause(ctx context.Context, err error) error {
	if ctxErr := context.Cause(ctx); ctxErr != nil {
		return ctxErr
	}
	return err
}

// checkKind refuses a kind that is not ours and that the tenant has no profiles
// of, so that a mistyped one is not taken for an empty range.
func (a *api) checkKind(ctx context.Context, reader profilestore.Reader, q *query, found *profilestore.Merge) error {
	if q.kind == "" || slices.Contains(ownKinds, q.kind) || len(found.Kinds) > 0 {
		return nil
	}
	anywhere, err := reader.MergeStacks(ctx, profilestore.Selector{Tenant: q.tenant, Kinds: []string{q.kind}},
		profilestore.MergeOptions{NoStacks: true, MaxStacks: 1})
	if err != nil {
		return cause(ctx, err)
	}
	if len(anywhere.Kinds) == 0 {
		return unknownKind(q.kind)
	}
	return nil
}
