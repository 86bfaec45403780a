package profilestoreextension

import (
	"errors"
	"fmt"
	"net"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/configopaque"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/config/configtls"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/schema"
)

// Config of the profile_store extension.
type Config struct {
	// Endpoint lists host:port pairs of ClickHouse's native protocol. The first
	// that accepts a connection is used, in turns. Exactly one of Endpoint and
	// Embedded must be set.
	Endpoint []string `mapstructure:"endpoint"`
	// Embedded names an extension that brings a server along (embedded_clickhouse).
	Embedded *component.ID `mapstructure:"embedded"`
	// Database holds the tables; it is created if it is not there (default aperture).
	Database string `mapstructure:"database"`
	// Username logs in (default `default`); an embedded server has its own.
	Username string `mapstructure:"username"`
	// Password of Username; give it through a config provider, as
	// ${env:CLICKHOUSE_PASSWORD}.
	Password configopaque.String `mapstructure:"password"`
	// TLS turns on TLS to the endpoints.
	TLS configoptional.Optional[configtls.ClientConfig] `mapstructure:"tls"`
	// Retention is how long observations are kept after they were stored (default 720h).
	Retention time.Duration `mapstructure:"retention"`
	// RetentionOverrides are for some tenants and services.
	RetentionOverrides []RetentionOverride `mapstructure:"retention_overrides"`
	// BatchRetention is how long the list of batches is kept (default 0: as long as
	// Retention).
	BatchRetention time.Duration `mapstructure:"batch_retention"`
	// Storage bounds what is kept by its size.
	Storage StorageConfig `mapstructure:"storage"`
	// AlertRetention is how long the history of alerts is kept (default 2160h, 90
	// days). The current state of a rule is kept as long as the rule.
	AlertRetention time.Duration `mapstructure:"alert_retention"`
	// Cluster names a ClickHouse cluster to make replicated and distributed
	// tables on (default none).
	Cluster string `mapstructure:"cluster"`
	// ClusterReplicated (default true) makes tables of Cluster that Keeper
	// replicates. Without, every server of the cluster must be a shard of its own,
	// reachable at the address it has there: nothing needs Keeper, and nothing is
	// there twice.
	ClusterReplicated bool `mapstructure:"cluster_replicated"`
	// MaxConnections bounds the connections in use at once (default 16).
	MaxConnections int `mapstructure:"max_connections"`
	// DialTimeout bounds connecting to one endpoint (default 5s).
	DialTimeout time.Duration `mapstructure:"dial_timeout"`
	// Query bounds every query.
	Query QueryConfig `mapstructure:"query"`
	// StackCacheSize bounds the memory of what queries remember of stacks, in bytes
	// (default 128 MiB): half of it is for dictionaries, a quarter for resolved stacks,
	// and a quarter for call paths of functions.
	StackCacheSize int64 `mapstructure:"stack_cache_size"`
	// DictionaryCacheSize bounds the number of stacks, locations, functions and
	// series known to be stored, about 25 bytes each (default 2000000).
	DictionaryCacheSize int `mapstructure:"dictionary_cache_size"`
}

// QueryConfig bounds every query; larger ones fail.
type QueryConfig struct {
	// MaxExecutionTime is the longest a query may take (default 30s).
	MaxExecutionTime time.Duration `mapstructure:"max_execution_time"`
	// MaxMemoryUsage is the most memory of the server that a query may use, in
	// bytes (default 2 GiB).
	MaxMemoryUsage int64 `mapstructure:"max_memory_usage"`
	// MaxRows is the most rows that ClickHouse may return for one query
	// (default 5000000).
	MaxRows int64 `mapstructure:"max_rows"`
	// MaxStacks is the most rows of a merge, by kind of profile, where the caller
	// does not say; the largest are kept (default 100000).
	MaxStacks int `mapstructure:"max_stacks"`
	// Tenants are lower bounds for some tenants, by name.
	Tenants map[string]TenantQueryConfig `mapstructure:"tenants"`
}

// DefaultUsername is the user where none is configured.
const DefaultUsername = "default"

func createDefaultConfig() component.Config {
	return &Config{
		Database:       "aperture",
		Username:       DefaultUsername,
		Retention:      30 * 24 * time.Hour,
		AlertRetention: 90 * 24 * time.Hour,
		MaxConnections: 16,
		DialTimeout:    5 * time.Second,

		ClusterReplicated: true,
		Query: QueryConfig{
			MaxExecutionTime: 30 * time.Second,
			MaxMemoryUsage:   2 << 30,
			MaxRows:          5_000_000,
			MaxStacks:        100_000,
		},
		StackCacheSize:      128 << 20,
		DictionaryCacheSize: 2_000_000,
	}
}

// Validate checks the configuration.
func (c *Config) Validate() error {
	var errs []error
	add := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	switch {
	case c.Embedded == nil && len(c.Endpoint) == 0:
		add("one of `endpoint` and `embedded` must be set")
	case c.Embedded != nil && len(c.Endpoint) > 0:
		add("only one of `endpoint` and `embedded` may be set")
	case c.Embedded != nil && (c.Username != DefaultUsername || c.Password != "" || c.TLS.HasValue()):
		add("`username`, `password` and `tls` have no effect with `embedded`, which has its own")
	}
	if c.Cluster == "" && !c.ClusterReplicated {
		add("`cluster_replicated` is false: it has no effect without `cluster`")
	}
	for i, e := range c.Endpoint {
		if _, _, err := net.SplitHostPort(e); err != nil {
			add("`endpoint`[%d] is %q: must be host:port", i, e)
		}
	}
	if c.Retention < time.Hour {
		add("`retention` is %s: must be at least 1h", c.Retention)
	}
	errs = append(errs, c.validateLife()...)
	if c.AlertRetention < time.Hour {
		add("`alert_retention` is %s: must be at least 1h", c.AlertRetention)
	}
	if err := c.tables().Validate(); err != nil && c.Retention >= time.Hour && c.AlertRetention >= time.Hour {
		errs = append(errs, err)
	}
	for _, v := range []struct {
		key       string
		value     int64
		low, high int64
	}{
		{"max_connections", int64(c.MaxConnections), 4, 1024},
		{"query::max_memory_usage", c.Query.MaxMemoryUsage, 16 << 20, 1 << 50},
		{"query::max_rows", c.Query.MaxRows, 1, 1 << 40},
		{"query::max_stacks", int64(c.Query.MaxStacks), 1, 10_000_000},
		{"stack_cache_size", c.StackCacheSize, 1 << 20, 1 << 50},
		{"dictionary_cache_size", int64(c.DictionaryCacheSize), 1000, 1_000_000_000},
	} {
		if v.value < v.low || v.value > v.high {
			add("`%s` is %d: must be from %d to %d", v.key, v.value, v.low, v.high)
		}
	}
	for _, v := range []struct {
		key       string
		value     time.Duration
		low, high time.Duration
	}{
		{"dial_timeout", c.DialTimeout, 10 * time.Millisecond, 5 * time.Minute},
		{"query::max_execution_time", c.Query.MaxExecutionTime, time.Second, 24 * time.Hour},
	} {
		if v.value < v.low || v.value > v.high {
			add("`%s` is %s: must be from %s to %s", v.key, v.value, v.low, v.high)
		}
	}
	return errors.Join(errs...)
}

func (c *Config) tables() schema.Options {
	lifetimes := c.lifetimes()
	return schema.Options{
		Database: c.Database, Cluster: c.Cluster, Unreplicated: !c.ClusterReplicated,
		Retention: lifetimes.Longest(), BatchRetention: lifetimes.LongestBatches(), AlertRetention: c.AlertRetention,
	}
}

// deleteDelay is how long rows stay that were replaced by others: longer than a
// query that may still read them takes.
func (c *Config) deleteDelay() time.Duration {
	return max(10*time.Minute, 2*c.Query.MaxExecutionTime)
}
