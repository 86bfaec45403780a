package tracedhttp

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestHandler(t *testing.T) {
	var body string
	h := Handler(Options{
		Wanted: func(r *http.Request) (bool, error) {
			if r.URL.RawQuery == "bad" {
				return false, errors.New("bad")
			}
			return r.URL.RawQuery == "trace=1", nil
		},
		Refuse:  func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadRequest) },
		Headers: []string{"Retry-After"},
	}, func(w http.ResponseWriter, r *http.Request) {
		_, step := profilestore.StartStep(r.Context(), "work")
		step.End(nil)
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Retry-After", "2")
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = w.Write([]byte(body))
	})
	ask := func(query string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		h(w, httptest.NewRequest(http.MethodGet, "/x?"+query, http.NoBody))
		return w
	}
	body = `{"a":1}`
	assert.Equal(t, http.StatusBadRequest, ask("bad").Code)
	plain := ask("")
	assert.Equal(t, []any{http.StatusServiceUnavailable, body}, []any{plain.Code, plain.Body.String()})

	decode := func() (out Answer) {
		w := ask("trace=1")
		assert.Equal(t, http.StatusServiceUnavailable, w.Code)
		assert.Equal(t, "2", w.Header().Get("Retry-After"))
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &out))
		return out
	}
	got := decode()
	assert.Equal(t, []any{503, int64(7), body}, []any{got.Status, got.Bytes, string(got.Answer)})
	assert.Equal(t, "GET /x", got.Trace.Name)
	require.Len(t, got.Trace.Steps, 1)
	assert.Equal(t, "work", got.Trace.Steps[0].Name)

	body = `{"a":"` + strings.Repeat("x", MaxAnswer) + `"}`
	got = decode()
	assert.Equal(t, []any{int64(len(body)), ""}, []any{got.Bytes, string(got.Answer)}, "too large")
	body = `no JSON`
	assert.Empty(t, decode().Answer)
}
