package pyroscopereceiver

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/extension/httpserverextension"
	"github.com/aperture-collector/aperture-collector/internal/pyroscope/ingest"
)

func TestTenants(t *testing.T) {
	f := start(t, options{
		config: func(c *Config) { c.Multitenancy = true },
		server: func(c *httpserverextension.Config) { c.ServerConfig.IncludeMetadata = true },
	})
	status, body := f.post(t, query("name", "app"), []byte("a 1"))
	assert.Equal(t, http.StatusUnauthorized, status)
	code, message := refusalOf(t, body)
	assert.Equal(t, [2]string{"unauthenticated", "no org id"}, [2]string{code, message})
	status, body = f.post(t, query("name", "app"), []byte("a 1"), "X-Scope-OrgID", "ten/ant")
	assert.Equal(t, http.StatusUnauthorized, status)
	assert.Contains(t, body, `tenant ID 'ten/ant' contains unsupported character '/'`)
	for name, o := range protocols {
		_, err := f.pushClient(t, o...).Push(t.Context(), pushOf(series(nil, goCPU(t))))
		assert.Equal(t, connect.CodeUnauthenticated, connect.CodeOf(err), name)
		assert.ErrorContains(t, err, "no org id", name)
		req := pushOf(series(map[string]string{"__name__": "process_cpu"}, goCPU(t)))
		req.Header().Set("X-Scope-OrgID", "team-a")
		f.sink.Reset()
		_, err = f.pushClient(t, o...).Push(t.Context(), req)
		require.NoError(t, err, name)
		for k := range f.sums(t) {
			assert.True(t, strings.HasPrefix(k, "team-a "), k)
		}
	}
	got := f.push(t, query("name", "app.live"), []byte("a 1"), "X-Scope-OrgID", "team-a")
	assert.Equal(t, map[string]int64{"team-a memory:live:count:: {pyroscope_spy=unknown,service_name=app} a": 1}, got)
	status, body = f.post(t, query("name", "app"), nil)
	assert.Equal(t, http.StatusUnauthorized, status, body)
}

// Without multitenancy the header says nothing, to other components neither.
func TestNoTenants(t *testing.T) {
	f := start(t, options{server: func(c *httpserverextension.Config) { c.ServerConfig.IncludeMetadata = true }})
	got := f.push(t, query("name", "app.live"), []byte("a 1"), "X-Scope-OrgID", "team-a")
	assert.Equal(t, map[string]int64{"anonymous memory:live:count:: {pyroscope_spy=unknown,service_name=app} a": 1}, got)
}

func TestRateLimit(t *testing.T) {
	f := start(t, options{config: func(c *Config) {
		c.Multitenancy = true
		c.Limits.IngestionRate, c.Limits.IngestionBurst = 1, 20
		c.Overrides = map[string]LimitsConfig{"big": {}}
	}})
	body := []byte(strings.Repeat(" ", 16) + "a 1")
	for range 5 {
		assert.Len(t, f.push(t, query("name", "app.live"), body, "X-Scope-OrgID", "big"), 1)
	}
	f.push(t, query("name", "app.live"), body, "X-Scope-OrgID", "small")
	resp, text := f.do(t, query("name", "app.live"), body, "X-Scope-OrgID", "small")
	assert.Equal(t, http.StatusTooManyRequests, resp.StatusCode)
	code, message := refusalOf(t, text)
	assert.Equal(t, "resource_exhausted", code)
	assert.Equal(t, "push rate limit (1 B) exceeded while adding 19 B", message)
	wait, err := strconv.Atoi(resp.Header.Get("Retry-After"))
	require.NoError(t, err)
	assert.Greater(t, wait, 10)
	f.push(t, query("name", "app.live"), body, "X-Scope-OrgID", "other")

	req := pushOf(series(nil, goCPU(t)))
	req.Header().Set("X-Scope-OrgID", "small")
	_, err = f.pushClient(t).Push(t.Context(), req)
	assert.Equal(t, connect.CodeResourceExhausted, connect.CodeOf(err))
}

func TestTake(t *testing.T) {
	now := time.Unix(1000, 0)
	s := newTenants(&Config{Limits: LimitsConfig{IngestionRate: 4 << 20, IngestionBurst: 2 << 20}}).of("a", now)
	require.NoError(t, s.take(2<<20, now))
	require.EqualError(t, s.take(1, now), "push rate limit (4.0 MiB) exceeded while adding 1 B")
	// One that is larger than the burst is taken when the burst is there, and then the
	// rest is waited for.
	require.Error(t, s.take(6<<20, now.Add(499*time.Millisecond)))
	require.NoError(t, s.take(6<<20, now.Add(500*time.Millisecond)))
	require.Error(t, s.take(1, now.Add(1490*time.Millisecond)))
	require.NoError(t, s.take(1, now.Add(1510*time.Millisecond)))
	require.NoError(t, s.take(2<<20, now.Add(time.Hour)))
	require.Error(t, s.take(2<<20, now.Add(time.Hour)), "what is not used is not saved up")
	s.giveBack(2 << 20)
	require.NoError(t, s.take(2<<20, now.Add(time.Hour)))
}

func TestSeriesLimit(t *testing.T) {
	f := start(t, options{config: func(c *Config) { c.Limits.MaxSeries = 3 }})
	for _, pod := range []string{"a", "b", "c", "a", "c"} {
		assert.Len(t, f.push(t, query("name", "app.live{pod="+pod+"}"), []byte("a 1")), 1)
	}
	status, text := f.post(t, query("name", "app.live{pod=d}"), []byte("a 1"))
	assert.Equal(t, http.StatusTooManyRequests, status)
	code, message := refusalOf(t, text)
	assert.Equal(t, "resource_exhausted", code)
	assert.Contains(t, message, "maximum active series limit exceeded (3/3)")
	f.push(t, query("name", "app.live{pod=b}"), []byte("a 1"))
	status, _ = f.post(t, query("name", "app{pod=a}", "format", "pprof"), goCPU(t))
	assert.Equal(t, http.StatusTooManyRequests, status)
}

func TestSeriesAreForgotten(t *testing.T) {
	now := time.Unix(10_000, 0)
	s := newTenants(&Config{Limits: LimitsConfig{MaxSeries: 2}}).of("a", now)
	id := func(n uint64) []ingest.SeriesID { return []ingest.SeriesID{{Lo: n}} }
	require.NoError(t, s.admit(1, id(1), now))
	require.NoError(t, s.admit(1, id(2), now.Add(time.Minute)))
	require.Error(t, s.admit(1, id(3), now.Add(59*time.Minute)))
	require.NoError(t, s.admit(1, id(3), now.Add(60*time.Minute)))
	require.Error(t, s.admit(1, id(4), now.Add(60*time.Minute)))
	require.NoError(t, s.admit(1, id(2), now.Add(60*time.Minute)))
}

// Of what is remembered of tenants there is an end.
func TestTenantsAreBounded(t *testing.T) {
	s := newTenants(&Config{})
	for i := range maxTenants + 100 {
		s.of("t"+strconv.Itoa(i), time.Unix(1, 0))
	}
	assert.Equal(t, maxTenants, s.all.Len())
}
