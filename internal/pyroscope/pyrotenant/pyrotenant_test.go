package pyrotenant

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestOf(t *testing.T) {
	f := func(multitenancy bool, want, wantErr string, values ...string) {
		t.Helper()
		got, err := Of(http.Header{"X-Scope-Orgid": values}, multitenancy)
		assert.Equal(t, want, got)
		if wantErr == "" {
			require.NoError(t, err)
			return
		}
		require.EqualError(t, err, wantErr)
		require.ErrorIs(t, err, ErrUnauthenticated)
	}
	f(false, "anonymous", "")
	f(false, "anonymous", "", "team-a")
	f(true, "team-a", "", "team-a")
	f(true, "", "no org id")
	f(true, "", "no org id", "")
	f(true, "", "tenant ID 'ten/ant' contains unsupported character '/'", "ten/ant")
	f(true, "", "tenant ID 'a|b' contains unsupported character '|'", "a|b")
	f(true, "", "tenant ID 'aä' contains unsupported character 'ä'", "aä")
	f(true, "", "tenant ID is '.' or '..', which are not allowed", "..")
	f(true, "", "multiple org IDs present: found 2 values of X-Scope-OrgID", "a", "b")
	f(true, "", "tenant ID is too long: found 151 characters, the limit is 150", strings.Repeat("a", 151))
	f(true, strings.Repeat("a", 150), "", strings.Repeat("a", 150))
}

func TestErrorWrite(t *testing.T) {
	e := &Error{Status: http.StatusTooManyRequests, Code: connect.CodeResourceExhausted, Message: `too "much"`, RetryAfter: 1100 * time.Millisecond}
	w := httptest.NewRecorder()
	e.Write(w)
	assert.Equal(t, http.StatusTooManyRequests, w.Code)
	assert.JSONEq(t, `{"code":"resource_exhausted","message":"too \"much\""}`, w.Body.String())
	assert.Equal(t, "2", w.Header().Get("Retry-After"))
	assert.Equal(t, "application/json", w.Header().Get("Content-Type"))

	for status, code := range map[int]string{400: "invalid_argument", 401: "unauthenticated", 403: "permission_denied", 503: "unavailable", 418: "unknown"} {
		w := httptest.NewRecorder()
		Refuse(w, nil, status, 0, "x")
		assert.Equal(t, status, w.Code)
		assert.JSONEq(t, `{"code":"`+code+`","message":"x"}`, w.Body.String())
		assert.Empty(t, w.Header().Get("Retry-After"))
	}

	c := e.Connect()
	assert.Equal(t, connect.CodeResourceExhausted, c.Code())
	assert.Equal(t, `too "much"`, c.Message())
	assert.Equal(t, "2", c.Meta().Get("Retry-After"))
}
