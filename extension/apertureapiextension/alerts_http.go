package apertureapiextension

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"

	"github.com/aperture-collector/aperture-collector/internal/alert"
	"github.com/aperture-collector/aperture-collector/internal/httpserver"
)

// Limits of the history, as clients of the Aperture API know them.
const (
	defaultHistory = 100
	maxHistory     = 500
	// maxHistoryRead bounds how far back is looked for events of a phase.
	maxHistoryRead = 10_000
)

func (a *api) alertRoutes() []route {
	missing := func(w http.ResponseWriter, r *http.Request) {
		httpserver.WriteError(w, r, http.StatusBadRequest, "missing rule id")
	}
	return []route{
		{"GET /api/alerts", a.answer("alerts_list", a.listAlerts), nil},
		{"POST /api/alerts", a.answer("alerts_create", a.createAlert), nil},
		{"DELETE /api/alerts/{id}", a.answer("alerts_delete", a.deleteAlert), nil},
		{"DELETE /api/alerts", missing, nil},
		{"DELETE /api/alerts/{$}", missing, nil},
		{"POST /api/alerts/{id}/toggle", a.answer("alerts_toggle", a.toggleAlert), nil},
		{"POST /api/alerts/toggle", missing, nil},
		{"GET /api/alerts/history", a.answer("alerts_history", a.alertHistory), nil},
		{"POST /api/alerts/evaluate", a.answer("alerts_evaluate", a.evaluateAlerts), nil},
	}
}

// request is one on its way to an answer.
type request struct {
	*http.Request
	// ctx ends with the query timeout.
	ctx    context.Context
	w      http.ResponseWriter
	tenant string
}

// answer makes a handler of a function that returns the status and the object to
// answer with.
func (a *api) answer(operation string, f func(*request) (int, any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		done := a.observe(r.Context(), operation)
		ctx, cancel := context.WithTimeout(r.Context(), a.cfg.QueryTimeout)
		defer cancel()
		q := &request{Request: r, ctx: ctx, w: w}
		var status int
		var body any
		var err error
		if q.tenant, err = a.httpTenant(r); err == nil {
			status, body, err = f(q)
		}
		if err != nil {
			err = cause(ctx, err)
		}
		done(err)
		if err != nil {
			a.writeError(w, r, err)
			return
		}
		writeJSON(w, status, body)
	}
}

// writeJSON answers with an object. An error can only mean that the client is gone.
func writeJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	_ = e.Encode(body)
}

func (q *request) key() alert.Key { return alert.Key{Tenant: q.tenant, ID: q.PathValue("id")} }

func (a *api) listAlerts(q *request) (int, any, error) {
	list, err := a.alerts.engine.List(q.ctx, q.tenant)
	if err != nil {
		return 0, nil, err
	}
	out := make([]ruleJSON, len(list))
	for i := range list {
		out[i] = newRuleJSON(&list[i])
	}
	return http.StatusOK, out, nil
}

func (a *api) createAlert(q *request) (int, any, error) {
	text, err := readBody(q.w, q.Request)
	if err != nil {
		return 0, nil, err
	}
	rule, err := parseRule(text)
	if err != nil {
		return 0, nil, err
	}
	rule.Tenant, rule.Enabled = q.tenant, true
	created, err := a.alerts.engine.Create(q.ctx, *rule)
	if err != nil {
		return 0, nil, err
	}
	return http.StatusCreated, map[string]string{"id": created.ID}, nil
}

func (a *api) deleteAlert(q *request) (int, any, error) {
	deleted, err := a.alerts.engine.Delete(q.ctx, q.key())
	status := http.StatusOK
	if !deleted {
		status = http.StatusNotFound
	}
	return status, map[string]bool{"deleted": deleted}, err
}

func (a *api) toggleAlert(q *request) (int, any, error) {
	enabled, err := a.alerts.engine.Toggle(q.ctx, q.key())
	if errors.Is(err, alert.ErrNotFound) {
		err = alert.ErrNotFound // as the reference has it, word for word
	}
	return http.StatusOK, map[string]bool{"enabled": enabled}, err
}

// alertHistory lists what fired, newest first. Clients of the Aperture API take
// each event for an alert, so that the resolved ones are listed only if they are
// asked for.
func (a *api) alertHistory(q *request) (int, any, error) {
	values, err := params(q.URL.RawQuery)
	if err != nil {
		return 0, nil, err
	}
	var of query
	if err := param(values, "limit", intParam("limit", of.setLimit)); err != nil {
		return 0, nil, err
	}
	phase := alert.Firing
	if err := param(values, "phase", func(v string) error {
		if phase = alert.Phase(v); v == "all" {
			phase = ""
		}
		return oneOf("phase", v, []string{string(alert.Firing), string(alert.Resolved), "all"})
	}); err != nil {
		return 0, nil, err
	}
	events, err := a.history(q.ctx, q.tenant, phase, of.rows(defaultHistory, maxHistory))
	if err != nil {
		return 0, nil, err
	}
	out := make([]historyJSON, len(events))
	for i := range events {
		out[i] = newHistoryJSON(&events[i])
	}
	return http.StatusOK, out, nil
}

// history returns the newest events of a phase, of all if it is empty.
func (a *api) history(ctx context.Context, tenant string, phase alert.Phase, limit int) ([]alert.Event, error) {
	if limit == 0 {
		return nil, nil
	}
	read := limit
	if phase != "" {
		// There are about as many of the other.
		read = 2 * limit
	}
	for {
		events, err := a.alerts.store.History(ctx, alertDialect, tenant, read)
		if err != nil {
			return nil, err
		}
		all := len(events) < read
		if phase != "" {
			events = slices.DeleteFunc(events, func(e alert.Event) bool { return e.Phase != phase })
		}
		if all || len(events) >= limit || read >= maxHistoryRead {
			return events[:min(limit, len(events))], nil
		}
		read = min(4*read, maxHistoryRead)
	}
}

// evaluateAlerts evaluates the rules of the tenant now. As upstream does, it
// answers with every rule whose condition is true, whether or not it has fired
// before; the history has it once.
func (a *api) evaluateAlerts(q *request) (int, any, error) {
	snap, err := a.alerts.snapshot(q.ctx)
	if err != nil {
		return 0, nil, err
	}
	list, err := a.alerts.engine.EvaluateNow(withSnapshot(q.ctx, snap), q.tenant)
	if err != nil {
		return 0, nil, err
	}
	body := struct {
		Fired    []historyJSON `json:"fired"`
		Snapshot *snapshot     `json:"snapshot"`
		// Errors are of the rules that could not be evaluated, by ID.
		Errors map[string]string `json:"errors,omitempty"`
	}{Fired: []historyJSON{}, Snapshot: snap, Errors: map[string]string{}}
	for i := range list {
		v := &list[i]
		if v.Firing() {
			body.Fired = append(body.Fired, newFiredJSON(v))
		}
		if v.Result.Err != nil && !v.Result.NoData {
			body.Errors[v.Rule.ID] = v.Result.Err.Error()
		}
	}
	return http.StatusOK, body, nil
}
