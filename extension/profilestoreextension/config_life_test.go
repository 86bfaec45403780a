package profilestoreextension

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/confmap"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/life"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/reader"
)

func lifeConfig(t *testing.T, settings map[string]any) *Config {
	t.Helper()
	settings["endpoint"] = []any{"localhost:9000"}
	cfg := createDefaultConfig().(*Config)
	require.NoError(t, confmap.NewFromStringMap(settings).Unmarshal(cfg))
	return cfg
}

func TestLifeConfig(t *testing.T) {
	cfg := lifeConfig(t, map[string]any{
		"retention": "48h", "batch_retention": "24h",
		"retention_overrides": []any{
			map[string]any{"tenant": "team-a", "service": "it's {x:String}", "retention": "96h"},
			map[string]any{"service": "api", "retention": "2h"},
		},
		"storage": map[string]any{"max_bytes": 1 << 30, "min_free": 1 << 31},
		"query":   map[string]any{"tenants": map[string]any{"team-a": map[string]any{"max_execution_time": "5s", "max_rows": 10, "max_concurrent": 2}}},
	})
	require.NoError(t, cfg.Validate())
	assert.Equal(t, life.Retention{Profiles: 48 * time.Hour, Batches: 24 * time.Hour, Overrides: []life.Override{
		{Tenant: "team-a", Service: "it's {x:String}", Retention: 96 * time.Hour}, {Service: "api", Retention: 2 * time.Hour},
	}}, cfg.lifetimes())
	assert.Equal(t, 96*time.Hour, cfg.tables().Retention, "TTLs are the longest")
	assert.Equal(t, 24*time.Hour, cfg.tables().BatchRetention)
	assert.Equal(t, reader.Limits{MaxExecutionTime: 5 * time.Second, MaxRows: 10, MaxConcurrent: 2}, cfg.Query.limits("team-a"))
	assert.Zero(t, cfg.Query.limits("team-b"))
}

func TestLifeConfigErrorsNameTheirKeys(t *testing.T) {
	long := strings.Repeat("x", 5000)
	cfg := lifeConfig(t, map[string]any{
		"batch_retention": "1m",
		"retention_overrides": []any{
			map[string]any{"retention": "2h"},
			map[string]any{"tenant": "a'; DROP TABLE x", "retention": "2h"},
			map[string]any{"service": long, "retention": "1s"},
			map[string]any{"service": long, "retention": "2000000h"},
		},
		"storage": map[string]any{"max_bytes": -1, "min_free": 5},
		"query": map[string]any{"tenants": map[string]any{
			"a b": map[string]any{"max_execution_time": "1ms", "max_memory_usage": 1, "max_rows": -1, "max_concurrent": -1},
			"c":   map[string]any{"max_execution_time": "1h", "max_memory_usage": int64(1) << 60, "max_rows": int64(1) << 60, "max_concurrent": 20000},
		}},
	})
	err := cfg.Validate()
	for _, want := range []string{
		"`batch_retention` is 1m0s: must be from 1h",
		"`retention_overrides[0]` names neither `tenant` nor `service`",
		"`retention_overrides[1]::tenant`: tenant ",
		"`retention_overrides[2]::service` has 5000 bytes: must be at most 4096",
		"`retention_overrides[2]::retention` is 1s",
		"`retention_overrides[3]::retention` is 2000000h",
		"`retention_overrides[3]` is of the same tenant and service as `retention_overrides[2]`",
		"`storage::max_bytes` is -1", "`storage::min_free` is 5",
		"`query::tenants`: tenant \"a b\"",
		"`query::tenants::a b::max_execution_time` is 1ms", "`query::tenants::a b::max_memory_usage` is 1:",
		"`query::tenants::a b::max_rows` is -1", "`query::tenants::a b::max_concurrent` is -1",
		"`query::tenants::c::max_execution_time` is 1h0m0s: must be from 1s to 30s", "`query::tenants::c::max_memory_usage` is 1152921504606846976",
		"`query::tenants::c::max_rows` is 1152921504606846976", "`query::tenants::c::max_concurrent` is 20000",
	} {
		require.ErrorContains(t, err, want)
	}
}
