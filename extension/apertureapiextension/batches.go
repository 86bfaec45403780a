package apertureapiextension

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"

	"github.com/aperture-collector/aperture-collector/internal/apertureapi"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

// Limits of lists of batches, as clients of the Aperture API know them.
const (
	defaultBatches    = 100
	maxRecentBatches  = 1000
	maxStorageBatches = 10_000
)

type batchJSON struct {
	AgentID    string `json:"agent_id"`
	Sequence   uint64 `json:"sequence"`
	EventCount uint64 `json:"event_count"`
	ReceivedAt int64  `json:"received_at_ns"`
}

type batchesJSON struct {
	Batches []batchJSON `json:"batches"`
	Error   string      `json:"error"`
}

func (a *api) batchesHTTP(w http.ResponseWriter, r *http.Request) {
	done := a.observe(r.Context(), "batches")
	answer, err := a.batches(r)
	done(err)
	if err != nil {
		a.writeError(w, r, err)
		return
	}
	// Structs of strings and integers always marshal.
	body := bytes.NewBuffer(nil)
	e := json.NewEncoder(body)
	e.SetEscapeHTML(false)
	_ = e.Encode(answer)
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(body.Bytes())
}

// batches lists the newest batches of the live views and the store, oldest
// first. If the store cannot be asked, the live views answer alone and the
// answer says so.
func (a *api) batches(r *http.Request) (*batchesJSON, error) {
	values, err := params(r.URL.RawQuery)
	if err != nil {
		return nil, err
	}
	var q query
	if err := param(values, "agent_id", q.setAgentID); err != nil {
		return nil, err
	}
	if err := param(values, "limit", intParam("limit", q.setLimit)); err != nil {
		return nil, err
	}
	limit := q.rows(defaultBatches, maxRecentBatches)
	tenant, err := a.httpTenant(r)
	if err != nil {
		return nil, err
	}

	answer := &batchesJSON{Batches: make([]batchJSON, 0, limit)}
	list := a.views.recent(tenant, q.agentID, limit)
	if a.store != nil && limit > 0 {
		sel := profilestore.Selector{Tenant: tenant, AgentID: q.agentID}
		stored, err := a.storedBatches(r.Context(), sel, limit)
		switch {
		case err == nil:
			list = newest(union(list, stored), limit)
		case len(a.views.all()) == 0:
			return nil, err
		default:
			answer.Error = "recent batches only: " + err.Error()
		}
	}
	for _, b := range list {
		answer.Batches = append(answer.Batches, batchJSON{
			AgentID: b.AgentID, Sequence: b.Sequence, EventCount: b.EventCount, ReceivedAt: b.ReceivedAt,
		})
	}
	return answer, nil
}

// storedBatches lists stored batches, newest first.
func (a *api) storedBatches(ctx context.Context, sel profilestore.Selector, limit int) ([]apertureapi.BatchInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, a.cfg.QueryTimeout)
	defer cancel()
	stored, err := a.store.Batches(ctx, sel, limit)
	if err != nil {
		return nil, cause(ctx, err)
	}
	out := make([]apertureapi.BatchInfo, len(stored))
	for i, b := range stored {
		out[i] = apertureapi.BatchInfo(b)
	}
	return out, nil
}

// union returns what is in either list, once: a batch is in the live view from
// its arrival on and, a window later, in the store as well.
func union(a, b []apertureapi.BatchInfo) []apertureapi.BatchInfo {
	seen := make(map[apertureapi.BatchInfo]struct{}, len(a))
	for _, x := range a {
		seen[x] = struct{}{}
	}
	for _, x := range b {
		if _, ok := seen[x]; !ok {
			a = append(a, x)
		}
	}
	return a
}
