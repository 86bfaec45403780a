package apertureapiextension

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"go.uber.org/zap"

	"github.com/aperture-collector/aperture-collector/internal/httpserver"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// errDeleteForbidden says which option has to be changed.
var errDeleteForbidden = errors.New("deleting data is not allowed: set `allow_delete` of aperture_api")

// dataRoutes are about the data as a whole.
func (a *api) dataRoutes() []route {
	return []route{
		{"DELETE /api/data", a.answer("data_delete", a.deleteData), nil},
		{"GET /api/data/jobs", a.answer("data_jobs", a.listJobs), nil},
		{"GET /api/data/jobs/{id}", a.answer("data_job", a.getJob), nil},
	}
}

// jobJSON is a job as it is answered.
type jobJSON struct {
	ID     string `json:"id"`
	Tenant string `json:"tenant"`
	// Service or AgentID is there if only its data is deleted.
	Service *string `json:"service,omitempty"`
	AgentID *string `json:"agent_id,omitempty"`
	State   string  `json:"state"`
	// Cut is when the job was asked for and Updated when the figures were written,
	// in Unix nanoseconds.
	Cut       int64  `json:"cut_ns"`
	Updated   int64  `json:"updated_ns"`
	RowsDone  uint64 `json:"rows_done"`
	RowsLeft  uint64 `json:"rows_left"`
	BytesLeft uint64 `json:"bytes_left"`
	Error     string `json:"error"`
}

func newJobJSON(j *profilestore.DeleteJob) jobJSON {
	out := jobJSON{
		ID: j.ID, Tenant: j.Target.Tenant, State: string(j.State), Cut: j.Cut.UnixNano(), Updated: j.Updated.UnixNano(),
		RowsDone: j.RowsDone, RowsLeft: j.RowsLeft, BytesLeft: j.BytesLeft, Error: j.Error,
	}
	switch name := j.Target.Name; j.Target.Scope {
	case profilestore.ScopeService:
		out.Service = &name
	case profilestore.ScopeAgent:
		out.AgentID = &name
	}
	return out
}

// keeper returns what deletes data.
func (a *api) keeper() (profilestore.Keeper, error) {
	if k, ok := a.store.(profilestore.Keeper); ok {
		return k, nil
	}
	return nil, errNoStorage
}

// deleteData begins to delete the data of a service, an agent or the tenant. What is
// deleted is said twice.
func (a *api) deleteData(q *request) (int, any, error) {
	target, err := deleteTarget(q)
	if err != nil {
		return 0, nil, err
	}
	if !a.cfg.AllowDelete {
		return 0, nil, errDeleteForbidden
	}
	k, err := a.keeper()
	if err != nil {
		return 0, nil, err
	}
	j, err := k.Delete(q.ctx, target)
	if err != nil {
		return 0, nil, err
	}
	a.logger.Info("deleting data", zap.String("job", j.ID), zap.String("tenant", target.Tenant), zap.String(string(target.Scope), target.Name),
		zap.String("request_id", httpserver.RequestID(q.Context())))
	q.w.Header().Set("Location", "/api/data/jobs/"+j.ID)
	return http.StatusAccepted, newJobJSON(&j), nil
}

// deleteTarget reads the parameters of a delete.
func deleteTarget(q *request) (profilestore.Target, error) {
	none := profilestore.Target{}
	values, err := params(q.URL.RawQuery)
	if err != nil {
		return none, err
	}
	target := profilestore.Target{Tenant: q.tenant}
	found := 0
	for _, scope := range []profilestore.Scope{profilestore.ScopeService, profilestore.ScopeAgent, profilestore.ScopeTenant} {
		err := param(values, string(scope), func(v string) error {
			target.Scope, target.Name = scope, v
			found++
			return checkName(string(scope), v)
		})
		if err != nil {
			return none, err
		}
	}
	// A parameter that nobody knows might have been meant to name less.
	for name := range values {
		switch name {
		case string(profilestore.ScopeService), string(profilestore.ScopeAgent), string(profilestore.ScopeTenant), "confirm":
		default:
			return none, invalid(name, "a delete takes `service`, `agent_id` or `tenant`, and `confirm`")
		}
	}
	confirm, confirmed := "", false
	err = param(values, "confirm", func(v string) error {
		confirm, confirmed = v, true
		return checkName("confirm", v)
	})
	switch {
	case err != nil:
		return none, err
	case found != 1:
		return none, invalid("service", "there are %d of `service`, `agent_id` and `tenant`; there must be one", found)
	case target.Scope == profilestore.ScopeTenant && target.Name != q.tenant:
		return none, invalid("tenant", "it is %s; the tenant of the request is %s", shortened(target.Name), shortened(q.tenant))
	case !confirmed || confirm != target.Name:
		return none, invalid("confirm", "it is %s; it must be equal to `%s`", shortened(confirm), target.Scope)
	}
	return target, target.Validate()
}

// shortened quotes what a client sent.
func shortened(s string) string { return strconv.Quote(s[:min(len(s), 64)]) }

func (a *api) listJobs(q *request) (int, any, error) {
	k, err := a.keeper()
	if err != nil {
		return 0, nil, err
	}
	list, err := k.DeleteJobs(q.ctx, q.tenant)
	out := make([]jobJSON, len(list))
	for i := range list {
		out[i] = newJobJSON(&list[i])
	}
	return http.StatusOK, map[string][]jobJSON{"jobs": out}, err
}

func (a *api) getJob(q *request) (int, any, error) {
	k, err := a.keeper()
	if err != nil {
		return 0, nil, err
	}
	j, err := k.DeleteJob(q.ctx, q.tenant, q.PathValue("id"))
	if err != nil {
		return 0, nil, err
	}
	return http.StatusOK, newJobJSON(&j), nil
}

// storageJSON is what the store takes, in the answer of /api/health.
type storageJSON struct {
	Bytes  uint64      `json:"bytes"`
	Tables []tableJSON `json:"tables"`
	Disks  []diskJSON  `json:"disks"`
	// DroppedAt is when the oldest hours were dropped last for a limit of the
	// storage, in Unix nanoseconds, and OldestNS the begin of what was left then.
	DroppedAt int64  `json:"dropped_at_ns,omitempty"`
	Oldest    int64  `json:"oldest_ns,omitempty"`
	Short     string `json:"short,omitempty"`
}

type tableJSON struct {
	Table string `json:"table"`
	Parts uint64 `json:"parts"`
	Rows  uint64 `json:"rows"`
	Bytes uint64 `json:"bytes"`
}

type diskJSON struct {
	Name  string `json:"name"`
	Free  uint64 `json:"free_bytes"`
	Total uint64 `json:"total_bytes"`
}

// storage returns the figures of the store, nil if there are none now.
func (a *api) storage(r *http.Request) *storageJSON {
	k, err := a.keeper()
	if err != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(r.Context(), storageTimeout)
	defer cancel()
	u, err := k.Usage(ctx)
	if err != nil {
		return nil
	}
	out := &storageJSON{Bytes: u.Bytes(), Tables: []tableJSON{}, Disks: []diskJSON{}, Short: u.Short}
	for _, t := range u.Tables {
		out.Tables = append(out.Tables, tableJSON(t))
	}
	for _, d := range u.Disks {
		out.Disks = append(out.Disks, diskJSON(d))
	}
	if !u.Dropped.IsZero() {
		out.DroppedAt, out.Oldest = u.Dropped.UnixNano(), u.Oldest.UnixNano()
	}
	return out
}

// storageTimeout bounds what /api/health waits for the store.
const storageTimeout = time.Second
