package httpserver

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
)

type hostWith map[component.ID]component.Component

func (h hostWith) GetExtensions() map[component.ID]component.Component { return h }

func TestFindNamesTheKey(t *testing.T) {
	id := component.MustNewIDWithName("http_server", "x")
	_, err := Find(componenttest.NewNopHost(), id, "server")
	assert.ErrorContains(t, err, "`server: http_server/x`: not in service::extensions")

	_, err = Find(hostWith{id: nil}, id, "server")
	assert.ErrorContains(t, err, "it is no HTTP server")
}

func TestWriteError(t *testing.T) {
	w := httptest.NewRecorder()
	w.Header().Set("Content-Disposition", "attachment")
	r := httptest.NewRequestWithContext(WithRequestID(context.Background(), "id-1"), http.MethodGet, "/", http.NoBody)
	WriteRetry(w, r, http.StatusServiceUnavailable, 1500*time.Millisecond, `say "no"`)
	assert.Equal(t, http.StatusServiceUnavailable, w.Code)
	assert.Equal(t, "2", w.Header().Get("Retry-After"))
	assert.Equal(t, "application/json", w.Header().Get("Content-Type"))
	assert.Empty(t, w.Header().Get("Content-Disposition"))
	assert.JSONEq(t, `{"error":"say \"no\"","request_id":"id-1"}`, w.Body.String())
}

func TestWriteRetryIsAtLeastOneSecond(t *testing.T) {
	w := httptest.NewRecorder()
	WriteRetry(w, httptest.NewRequest(http.MethodGet, "/", http.NoBody), http.StatusServiceUnavailable, 0, "x")
	assert.Equal(t, "1", w.Header().Get("Retry-After"))
	assert.JSONEq(t, `{"error":"x"}`, w.Body.String())
}
