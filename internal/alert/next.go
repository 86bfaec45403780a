package alert

import "time"

// maxSkew is how far the clock of the replica that wrote a state may have been
// ahead of ours. Within it events are given times in their order; beyond it one of
// the clocks was wrong, and the time is what we think it is.
const maxSkew = time.Minute

// Next returns what the state of a rule becomes by a result, and the event to tell
// of it if the rule begins to fire or is resolved. s is the zero State for a rule
// that has none. A rule that is Deleted or not Enabled is only resolved, its
// result is not looked at.
//
// The Seq of the state that is returned tells whether there is something to store:
// it is that of s, or one more.
func Next(rule *Rule, s State, r Result, now time.Time) (State, *Event) {
	if s.Seq == 0 {
		s = State{Key: rule.Key(), Phase: Inactive, Revision: rule.Revision}
	}
	t := transition{rule: rule, was: s, result: r, now: latest(now, s.Since)}
	switch {
	case rule.Deleted:
		return t.restart("the rule was deleted")
	case !rule.Enabled:
		return t.restart("the rule was disabled")
	case s.Phase == Firing && s.Revision != rule.Revision:
		// What the rule says now is evaluated the next time: there is one event for
		// each change.
		return t.restart("the rule was changed")
	case r.Err != nil && !r.NoData:
		return s, nil
	case !r.NoData && rule.condition(r.Value):
		return t.met()
	}
	return t.notMet()
}

// transition is one call of Next.
type transition struct {
	rule   *Rule
	was    State
	result Result
	now    time.Time
}

// latest returns now, or the time of the last change if that is later because of a
// clock that was a little ahead of ours.
func latest(now, last time.Time) time.Time {
	if d := last.Sub(now); d > 0 && d <= maxSkew {
		return last
	}
	return now
}

// to returns the state that follows on the one there was.
func (t *transition) to(p Phase) State {
	s := t.was
	s.Seq++
	s.Phase, s.Since, s.Revision = p, t.now, t.rule.Revision
	s.ClearSince, s.Fired = time.Time{}, nil
	return s
}

// idle returns the phase of a rule whose condition is false.
func (s *State) idle() Phase {
	if s.Episode > 0 {
		return Resolved
	}
	return Inactive
}

// restart ends what the rule was doing.
func (t *transition) restart(why string) (State, *Event) {
	switch t.was.Phase {
	case Firing:
		return t.resolve(why)
	case Pending:
		return t.to(t.was.idle()), nil
	}
	return t.was, nil
}

// met is what happens if the condition is true.
func (t *transition) met() (State, *Event) {
	switch {
	case t.was.Phase == Firing:
		t.was.ClearSince = time.Time{}
		return t.was, nil
	case t.rule.For <= 0:
		return t.fire()
	case t.was.Phase != Pending || t.was.Revision != t.rule.Revision || t.was.Since.After(t.now):
		return t.to(Pending), nil
	case t.now.Sub(t.was.Since) >= t.rule.For:
		return t.fire()
	}
	return t.was, nil
}

// notMet is what happens if the condition is false.
func (t *transition) notMet() (State, *Event) {
	switch t.was.Phase {
	case Pending:
		return t.to(t.was.idle()), nil
	case Firing:
		if t.was.ClearSince.IsZero() || t.was.ClearSince.After(t.now) {
			t.was.ClearSince = t.now
		}
		if t.now.Sub(t.was.ClearSince) < t.rule.Rearm {
			return t.was, nil
		}
		if !t.result.NoData {
			return t.resolve("")
		}
		return t.resolve("there is no data")
	}
	return t.was, nil
}

// fire begins an alert.
func (t *transition) fire() (State, *Event) {
	s := t.to(Firing)
	s.FiredAt, s.Episode = s.Since, s.Seq
	e := t.event(&s)
	s.Fired = e
	return s, e
}

// resolve ends an alert. The event is about the rule as it was when it began to
// fire: receivers know the alert by that.
func (t *transition) resolve(why string) (State, *Event) {
	s := t.to(Resolved)
	e := t.event(&s)
	if f := t.was.Fired; f != nil {
		e.RuleName, e.Severity, e.Labels, e.Annotations = f.RuleName, f.Severity, f.Labels, f.Annotations
		e.Operator, e.Threshold = f.Operator, f.Threshold
		if e.Metric == "" {
			e.Metric = f.Metric
		}
		if e.Link == "" {
			e.Link = f.Link
		}
	}
	if why != "" {
		e.Message, e.Value = e.RuleName+": "+why, 0
	}
	return s, e
}

// event returns the event by which the rule comes into s. Its value is a finite
// number.
func (t *transition) event(s *State) *Event {
	e := &Event{
		Key: s.Key, Seq: s.Seq, Phase: s.Phase, Episode: s.Episode,
		RuleName: t.rule.Name, Severity: t.rule.Severity,
		Operator: t.rule.Operator, Threshold: t.rule.Threshold,
		Value: t.result.Value, Message: t.result.Message, Metric: t.result.Metric, Link: t.result.Link,
		At: t.now, StartsAt: s.FiredAt,
		Labels: t.rule.Labels, Annotations: t.rule.Annotations,
	}
	if !finite(e.Value) {
		e.Value = 0
	}
	if e.StartsAt.After(e.At) {
		e.StartsAt = e.At
	}
	if e.Message == "" {
		e.Message = t.rule.message(&t.result)
	}
	return e
}
