package alerts

import (
	"context"
	"fmt"
	"slices"

	"github.com/ClickHouse/ch-go/proto"

	"github.com/aperture-collector/aperture-collector/internal/alert"
	"github.com/aperture-collector/aperture-collector/internal/profile"
)

// transitionRows are rows of the table alert_transitions: a state and, maybe, the
// event that it was made by.
type transitionRows struct {
	dialect                  *dialects
	tenant, id               proto.ColStr
	seq                      proto.ColUInt64
	phase                    *dialects
	since, firedAt           *times
	revision, episode        proto.ColUInt64
	event                    proto.ColUInt8
	name, severity, operator proto.ColStr
	threshold, value         proto.ColFloat64
	message, metric          proto.ColStr
	happened, startsAt       *times
	labels, annotations      *texts
	link                     proto.ColStr

	fields []field
}

func newTransitionRows() *transitionRows {
	r := &transitionRows{
		dialect: newDialects(), phase: newDialects(), since: newTimes(), firedAt: newTimes(),
		happened: newTimes(), startsAt: newTimes(), labels: newTexts(), annotations: newTexts(),
	}
	r.fields = []field{
		{"dialect", r.dialect},
		{"tenant", &r.tenant},
		{"id", &r.id},
		{"seq", &r.seq},
		{"phase", r.phase},
		{"since", r.since},
		{"fired_at", r.firedAt},
		{"revision", &r.revision},
		{"episode", &r.episode},
		{"event", &r.event},
		{"rule_name", &r.name},
		{"severity", &r.severity},
		{"operator", &r.operator},
		{"threshold", &r.threshold},
		{"value", &r.value},
		{"message", &r.message},
		{"metric", &r.metric},
		{"at", r.happened},
		{"starts_at", r.startsAt},
		{"labels", r.labels},
		{"annotations", r.annotations},
		{"link", &r.link},
	}
	return r
}

// eventFields are the columns of the table alert_history.
func (r *transitionRows) eventFields() []field {
	return slices.DeleteFunc(slices.Clone(r.fields), func(f field) bool {
		return f.name == "since" || f.name == "fired_at" || f.name == "revision" || f.name == "event"
	})
}

func (r *transitionRows) add(dialect string, s *alert.State, e *alert.Event) {
	r.dialect.Append(dialect)
	r.tenant.Append(s.Key.Tenant)
	r.id.Append(s.Key.ID)
	r.seq.Append(s.Seq)
	r.phase.Append(string(s.Phase))
	r.since.add(s.Since)
	r.firedAt.add(s.FiredAt)
	r.revision.Append(s.Revision)
	r.episode.Append(s.Episode)
	r.event.Append(flag(e != nil))
	if e == nil {
		e = &alert.Event{}
	}
	r.name.Append(e.RuleName)
	r.severity.Append(e.Severity)
	r.operator.Append(string(e.Operator))
	r.threshold.Append(e.Threshold)
	r.value.Append(e.Value)
	r.message.Append(e.Message)
	r.metric.Append(e.Metric)
	r.happened.add(e.At)
	r.startsAt.add(e.StartsAt)
	r.labels.Append(e.Labels)
	r.annotations.Append(e.Annotations)
	r.link.Append(e.Link)
}

func (r *transitionRows) state(i int) alert.State {
	s := alert.State{
		Key: r.key(i), Seq: r.seq[i], Phase: alert.Phase(r.phase.Row(i)), Since: r.since.at(i), FiredAt: r.firedAt.at(i),
		Revision: r.revision[i], Episode: r.episode[i],
	}
	if s.Phase == alert.Firing && r.event[i] != 0 {
		e := r.eventAt(i)
		s.Fired = &e
	}
	return s
}

func (r *transitionRows) key(i int) alert.Key {
	return alert.Key{Tenant: r.tenant.Row(i), ID: r.id.Row(i)}
}

func (r *transitionRows) eventAt(i int) alert.Event {
	return alert.Event{
		Key: r.key(i), Seq: r.seq[i], Phase: alert.Phase(r.phase.Row(i)), Episode: r.episode[i],
		RuleName: r.name.Row(i), Severity: r.severity.Row(i), Operator: alert.Operator(r.operator.Row(i)),
		Threshold: r.threshold[i], Value: r.value[i], Message: r.message.Row(i), Metric: r.metric.Row(i),
		At: r.happened.at(i), StartsAt: r.startsAt.at(i),
		Labels: textsAt(r.labels, i), Annotations: textsAt(r.annotations, i), Link: r.link.Row(i),
	}
}

// States implements [alert.Store]. It completes the history now and then: whoever
// asks for the states of all tenants is there for long.
func (s *Store) States(ctx context.Context, dialect string) ([]alert.State, error) {
	states, err := s.states(ctx, &scan{dialect: dialect})
	if err == nil {
		err = s.completeHistory(ctx, dialect)
	}
	return states, err
}

// TenantStates implements [alert.Store].
func (s *Store) TenantStates(ctx context.Context, dialect, tenant string) ([]alert.State, error) {
	return s.states(ctx, &scan{dialect: dialect, tenant: &tenant})
}

func (s *Store) states(ctx context.Context, c *scan) ([]alert.State, error) {
	c.table, c.limit = "alert_transitions", statePage
	deleted := "SELECT tenant, id FROM " + s.table("alert_rules") + " WHERE dialect = {dialect:String}"
	if c.tenant != nil {
		deleted += " AND tenant = {tenant:String}"
	}
	c.having = "argMax(phase, rank) = 'firing' OR (tenant, id) GLOBAL NOT IN (" + deleted +
		" GROUP BY tenant, id HAVING argMax(deleted, rank) = 1)"
	var states []alert.State
	err := s.pages(ctx, c, func(c *scan) (n int, err error) {
		rows := newTransitionRows()
		err = s.page(ctx, c, "states", rows.fields, func(i int) {
			n++
			states = append(states, rows.state(i))
			c.after = rows.key(i)
		})
		return n, err
	})
	return states, err
}

// Transition implements [alert.Store].
func (s *Store) Transition(ctx context.Context, dialect string, st *alert.State, e *alert.Event) error {
	if err := checkTransition(dialect, st, e); err != nil {
		return err
	}
	key := st.Key
	p := &place{table: "alert_transitions", column: "seq", dialect: dialect, key: &key}
	if err := s.next(ctx, p, st.Seq); err != nil {
		return err
	}
	rows := newTransitionRows()
	rows.add(dialect, st, e)
	if err := s.claim(ctx, p, st.Seq, inputOf(rows.fields), newNonce()); err != nil || e == nil {
		return err
	}
	// The event is stored, whatever becomes of its copy: [Store.States] makes it if
	// this does not.
	_ = again(ctx, func() error { return s.insert(ctx, "alert_history", inputOf(rows.eventFields()), "") })
	return nil
}

func checkTransition(dialect string, s *alert.State, e *alert.Event) error {
	if err := checkTime("state.since", s.Since); err != nil {
		return err
	}
	if err := checkTime("state.fired_at", s.FiredAt); err != nil {
		return err
	}
	n := len(dialect) + len(s.Key.Tenant) + len(s.Key.ID) + len(s.Phase)
	if e == nil {
		return checkSize("state", n)
	}
	// They share these columns.
	if e.Key != s.Key || e.Seq != s.Seq || e.Phase != s.Phase || e.Episode != s.Episode {
		return fmt.Errorf("%w: event %d (%s, episode %d) of %q is not of state %d (%s, episode %d) of %q",
			profile.ErrInvalid, e.Seq, e.Phase, e.Episode, e.Key, s.Seq, s.Phase, s.Episode, s.Key)
	}
	if err := checkTime("event.at", e.At); err != nil {
		return err
	}
	if err := checkTime("event.starts_at", e.StartsAt); err != nil {
		return err
	}
	n += len(e.RuleName) + len(e.Severity) + len(e.Operator) + len(e.Message) + len(e.Metric) + len(e.Link)
	return checkSize("event", n, e.Labels, e.Annotations)
}
