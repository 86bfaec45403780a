package apertureapiextension

import (
	"encoding/json"
	"net/http"
)

// degradedAbove is the utilization from which on the API calls itself degraded.
const degradedAbove = 0.95

// healthJSON has the fields of the Aperture API reference, then ours.
type healthJSON struct {
	Status                string  `json:"status"`
	BufferBatches         int     `json:"buffer_batches"`
	BufferUtilization     float64 `json:"buffer_utilization"`
	StorageEnabled        bool    `json:"storage_enabled"`
	PushTotalOK           uint64  `json:"push_total_ok"`
	PushTotalError        uint64  `json:"push_total_error"`
	PushEventsTotal       uint64  `json:"push_events_total"`
	ClickHouseFlushOK     uint64  `json:"clickhouse_flush_ok"`
	ClickHouseFlushError  uint64  `json:"clickhouse_flush_error"`
	ClickHousePendingRows uint64  `json:"clickhouse_pending_rows"`

	QueueUtilization float64 `json:"queue_utilization"`
	Ready            bool    `json:"ready"`
	Reason           string  `json:"reason,omitempty"`
	// Storage is what the store takes, left out if that is not known.
	Storage *storageJSON `json:"storage,omitempty"`
}

// health answers always: what cannot be known is 0 and `reason` says why.
func (a *api) health(w http.ResponseWriter, r *http.Request) {
	stats := a.views.stats()
	s, err := a.scrape.get(r.Context())
	h := healthJSON{
		Status:                "healthy",
		BufferBatches:         stats.Batches,
		BufferUtilization:     stats.Utilization,
		StorageEnabled:        a.store != nil,
		PushTotalOK:           uint64(s.pushes("ok")),
		PushTotalError:        uint64(s.pushes("error")),
		PushEventsTotal:       uint64(s.sum(sourcePushEvents, nil)),
		ClickHouseFlushOK:     uint64(s.flushes("ok")),
		ClickHouseFlushError:  uint64(s.flushes("error")),
		ClickHousePendingRows: uint64(s.pendingRows()),
		QueueUtilization:      max(stats.QueueUtilization, a.scrape.queueUtilization()),
		Ready:                 true,
	}
	h.Storage = a.storage(r)
	if err != nil {
		h.Reason = err.Error()
	}
	if err := a.notReady(); err != nil {
		h.Ready, h.Reason = false, err.Error()
	}
	// A buffer of recent batches that is full works as it should; a full queue
	// refuses data.
	if !h.Ready || h.QueueUtilization >= degradedAbove || h.Storage != nil && h.Storage.Short != "" {
		h.Status = "degraded"
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(h)
}
