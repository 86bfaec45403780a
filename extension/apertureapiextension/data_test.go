package apertureapiextension

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// keeperStore notes what it is asked to delete.
type keeperStore struct {
	*memoryStore
	keeperMu sync.Mutex
	jobs     []profilestore.DeleteJob
	busy     bool
	usage    profilestore.Usage
}

func (s *keeperStore) Delete(_ context.Context, t profilestore.Target) (profilestore.DeleteJob, error) {
	s.keeperMu.Lock()
	defer s.keeperMu.Unlock()
	if s.busy {
		return profilestore.DeleteJob{}, fmt.Errorf("delete data: %w: 100 jobs", profilestore.ErrBusy)
	}
	j := profilestore.DeleteJob{ID: fmt.Sprintf("job-%d", len(s.jobs)), Target: t, State: profilestore.JobPending, Cut: time.Unix(7, 1), Updated: time.Unix(8, 0)}
	s.jobs = append(s.jobs, j)
	return j, nil
}

func (s *keeperStore) DeleteJob(_ context.Context, tenant, id string) (profilestore.DeleteJob, error) {
	s.keeperMu.Lock()
	defer s.keeperMu.Unlock()
	for _, j := range s.jobs {
		if j.Target.Tenant == tenant && j.ID == id {
			return j, nil
		}
	}
	return profilestore.DeleteJob{}, fmt.Errorf("job %q: %w", id, profilestore.ErrNotFound)
}

func (s *keeperStore) DeleteJobs(_ context.Context, tenant string) (out []profilestore.DeleteJob, err error) {
	s.keeperMu.Lock()
	defer s.keeperMu.Unlock()
	for _, j := range s.jobs {
		if j.Target.Tenant == tenant {
			out = append(out, j)
		}
	}
	return out, nil
}

func (s *keeperStore) Usage(context.Context) (*profilestore.Usage, error) { return &s.usage, nil }

func TestDeleteData(t *testing.T) {
	store := &keeperStore{memoryStore: newMemoryStore()}
	f := start(t, options{store: store, config: func(c *Config) { c.AllowDelete = true }})
	scope := []string{"X-Scope-OrgID", "team-a"}

	resp, body := f.do(t, http.MethodDelete, "/api/data?service=it%27s&confirm=it%27s", "", scope...)
	require.Equal(t, http.StatusAccepted, resp.StatusCode, body)
	assert.JSONEq(t, `{"id":"job-0","tenant":"team-a","service":"it's","state":"pending","cut_ns":7000000001,"updated_ns":8000000000,
		"rows_done":0,"rows_left":0,"bytes_left":0,"error":""}`, body)
	assert.Equal(t, "/api/data/jobs/job-0", resp.Header.Get("Location"))
	assert.JSONEq(t, body, f.get(t, "/api/data/jobs/job-0", scope...))
	f.refused(t, http.StatusNotFound, "not found", http.MethodGet, "/api/data/jobs/job-0", "")
	f.refused(t, http.StatusNotFound, "not found", http.MethodGet, "/api/data/jobs/%27%3B%00", "", scope...)

	for _, query := range []string{"agent_id=a&confirm=a", "tenant=team-a&confirm=team-a", "service=&confirm="} {
		resp, body = f.do(t, http.MethodDelete, "/api/data?"+query, "", scope...)
		require.Equal(t, http.StatusAccepted, resp.StatusCode, body)
	}
	assert.Equal(t, []profilestore.Target{
		{Tenant: "team-a", Scope: profilestore.ScopeService, Name: "it's"},
		{Tenant: "team-a", Scope: profilestore.ScopeAgent, Name: "a"},
		{Tenant: "team-a", Scope: profilestore.ScopeTenant, Name: "team-a"},
		{Tenant: "team-a", Scope: profilestore.ScopeService, Name: ""},
	}, targetsOf(store.jobs))
	var list struct {
		Jobs []jobJSON `json:"jobs"`
	}
	require.NoError(t, json.Unmarshal([]byte(f.get(t, "/api/data/jobs", scope...)), &list))
	assert.Len(t, list.Jobs, 4)
	assert.JSONEq(t, `{"jobs":[]}`, f.get(t, "/api/data/jobs"))

	for query, why := range map[string]string{
		"":                                     "there are 0 of `service`, `agent_id` and `tenant`",
		"confirm=x":                            "there are 0 of",
		"service=a&agent_id=b&confirm=a":       "there are 2 of",
		"service=a":                            "invalid `confirm`",
		"service=a&confirm=b":                  "invalid `confirm`",
		"service=":                             "invalid `confirm`",
		"tenant=other&confirm=other":           "the tenant of the request is \\\"team-a\\\"",
		"agent_id=&confirm=":                   "agent_id is empty",
		"service=a&confirm=a&time_end_ns=1000": "invalid `time_end_ns`",
	} {
		resp, body := f.do(t, http.MethodDelete, "/api/data?"+query, "", scope...)
		assert.Equal(t, http.StatusBadRequest, resp.StatusCode, query)
		assert.Contains(t, body, why, query)
	}
	assert.Len(t, store.jobs, 4)

	store.busy = true
	resp, body = f.do(t, http.MethodDelete, "/api/data?service=a&confirm=a", "", scope...)
	assert.Equal(t, http.StatusTooManyRequests, resp.StatusCode, body)
	assert.NotEmpty(t, resp.Header.Get("Retry-After"))
}

func targetsOf(jobs []profilestore.DeleteJob) (out []profilestore.Target) {
	for _, j := range jobs {
		out = append(out, j.Target)
	}
	return out
}

// Deleting needs to be allowed, and a store that can.
func TestDeleteIsForbidden(t *testing.T) {
	store := &keeperStore{memoryStore: newMemoryStore()}
	f := start(t, options{store: store})
	f.refused(t, http.StatusForbidden, "`allow_delete`", http.MethodDelete, "/api/data?service=a&confirm=a", "")
	assert.Empty(t, store.jobs)
	f = start(t, options{store: newMemoryStore(), config: func(c *Config) { c.AllowDelete = true }})
	f.refused(t, http.StatusServiceUnavailable, "storage not configured", http.MethodDelete, "/api/data?service=a&confirm=a", "")
	f.refused(t, http.StatusServiceUnavailable, "storage not configured", http.MethodGet, "/api/data/jobs", "")
}

func TestHealthHasTheStorage(t *testing.T) {
	store := &keeperStore{memoryStore: newMemoryStore(), usage: profilestore.Usage{
		Tables: []profilestore.TableUsage{{Table: "chunks", Parts: 1, Rows: 2, Bytes: 30}, {Table: "stacks", Parts: 1, Rows: 5, Bytes: 12}},
		Disks:  []profilestore.DiskUsage{{Name: "default", Free: 1000, Total: 5000}}, Dropped: time.Unix(3, 0), Oldest: time.Unix(2, 0),
	}}
	f := start(t, options{store: store})
	health := func() (h healthJSON) {
		require.NoError(t, json.Unmarshal([]byte(f.get(t, "/api/health")), &h))
		return h
	}
	h := health()
	assert.Equal(t, &storageJSON{
		Bytes: 42, Tables: []tableJSON{{"chunks", 1, 2, 30}, {"stacks", 1, 5, 12}}, Disks: []diskJSON{{"default", 1000, 5000}},
		DroppedAt: 3_000_000_000, Oldest: 2_000_000_000,
	}, h.Storage)
	assert.Equal(t, "healthy", h.Status)
	store.usage.Short = "5 bytes too many"
	assert.Equal(t, "degraded", health().Status)
}
