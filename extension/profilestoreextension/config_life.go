package profilestoreextension

import (
	"fmt"
	"time"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/life"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/reader"
	"github.com/aperture-collector/aperture-collector/internal/tenant"
)

// RetentionOverride is a retention for some tenants and services. Of several that
// apply, the one that names most counts: tenant and service before service before
// tenant.
type RetentionOverride struct {
	// Tenant is the exact tenant; empty is all.
	Tenant string `mapstructure:"tenant"`
	// Service is the exact service; empty is all.
	Service string `mapstructure:"service"`
	// Retention is how long their observations are kept, at least 1h.
	Retention time.Duration `mapstructure:"retention"`
}

// StorageConfig bounds what the tables take on disk. Above a bound the oldest hours
// are dropped, never the newest.
type StorageConfig struct {
	// MaxBytes is the most bytes of all tables of the database (default 0: no bound).
	MaxBytes int64 `mapstructure:"max_bytes"`
	// MinFree is the fewest bytes that stay free on the disks of ClickHouse (default
	// 0: no bound).
	MinFree int64 `mapstructure:"min_free"`
}

// TenantQueryConfig bounds the queries of one tenant. What is 0 is that of all.
type TenantQueryConfig struct {
	// MaxExecutionTime is the longest a query may take, at most that of all.
	MaxExecutionTime time.Duration `mapstructure:"max_execution_time"`
	// MaxMemoryUsage is the most memory of the server that a query may use, in
	// bytes, at most that of all.
	MaxMemoryUsage int64 `mapstructure:"max_memory_usage"`
	// MaxRows is the most rows that ClickHouse may return for one query, at most
	// that of all.
	MaxRows int64 `mapstructure:"max_rows"`
	// MaxConcurrent bounds the operations of the tenant that run at once; further
	// ones wait for as long as a query may take (default: no bound).
	MaxConcurrent int `mapstructure:"max_concurrent"`
}

// maxOverrides bounds a list that is gone through for every service.
const maxOverrides = 10_000

// maxServiceLength is the longest name of a service in bytes.
const maxServiceLength = 4096

func (c *Config) validateLife() (errs []error) {
	add := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if c.BatchRetention != 0 && (c.BatchRetention < time.Hour || c.BatchRetention > maxRetention) {
		add("`batch_retention` is %s: must be from 1h to %s, or 0 for that of `retention`", c.BatchRetention, maxRetention)
	}
	if n := len(c.RetentionOverrides); n > maxOverrides {
		add("`retention_overrides` has %d elements: must be at most %d", n, maxOverrides)
	}
	seen := make(map[[2]string]int)
	for i, o := range c.RetentionOverrides {
		key := fmt.Sprintf("retention_overrides[%d]", i)
		if o.Tenant == "" && o.Service == "" {
			add("`%s` names neither `tenant` nor `service`: `retention` is for all", key)
		}
		if o.Tenant != "" {
			if err := tenant.Validate(o.Tenant); err != nil {
				add("`%s::tenant`: %w", key, err)
			}
		}
		if n := len(o.Service); n > maxServiceLength {
			add("`%s::service` has %d bytes: must be at most %d", key, n, maxServiceLength)
		}
		if o.Retention < time.Hour || o.Retention > maxRetention {
			add("`%s::retention` is %s: must be from 1h to %s", key, o.Retention, maxRetention)
		}
		if first, ok := seen[[2]string{o.Tenant, o.Service}]; ok {
			add("`%s` is of the same tenant and service as `retention_overrides[%d]`", key, first)
		} else {
			seen[[2]string{o.Tenant, o.Service}] = i
		}
	}
	for _, v := range []struct {
		key   string
		value int64
	}{{"storage::max_bytes", c.Storage.MaxBytes}, {"storage::min_free", c.Storage.MinFree}} {
		if v.value != 0 && (v.value < 1<<20 || v.value > 1<<60) {
			add("`%s` is %d: must be from %d to %d, or 0 for no bound", v.key, v.value, 1<<20, int64(1)<<60)
		}
	}
	return append(errs, c.Query.validateTenants()...)
}

// maxRetention is the longest retention: dates of the tables end in 2106.
const maxRetention = 20 * 365 * 24 * time.Hour

func (q *QueryConfig) validateTenants() (errs []error) {
	add := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	for name, t := range q.Tenants {
		key := fmt.Sprintf("query::tenants::%.200s", name)
		if err := tenant.Validate(name); err != nil {
			add("`query::tenants`: %w", err)
		}
		if v := t.MaxExecutionTime; v != 0 && (v < time.Second || v > q.MaxExecutionTime) {
			add("`%s::max_execution_time` is %s: must be from 1s to %s, or 0 for the latter", key, v, q.MaxExecutionTime)
		}
		if v := t.MaxMemoryUsage; v != 0 && (v < 16<<20 || v > q.MaxMemoryUsage) {
			add("`%s::max_memory_usage` is %d: must be from %d to %d, or 0 for the latter", key, v, 16<<20, q.MaxMemoryUsage)
		}
		if v := t.MaxRows; v < 0 || v > q.MaxRows {
			add("`%s::max_rows` is %d: must be from 1 to %d, or 0 for the latter", key, v, q.MaxRows)
		}
		if v := t.MaxConcurrent; v < 0 || v > 10_000 {
			add("`%s::max_concurrent` is %d: must be from 1 to 10000, or 0 for no bound", key, v)
		}
	}
	return errs
}

// limits returns those of a tenant.
func (q *QueryConfig) limits(name string) reader.Limits {
	t := q.Tenants[name]
	return reader.Limits{
		MaxExecutionTime: t.MaxExecutionTime, MaxMemoryUsage: t.MaxMemoryUsage, MaxRows: t.MaxRows, MaxConcurrent: t.MaxConcurrent,
	}
}

func (c *Config) lifetimes() life.Retention {
	r := life.Retention{Profiles: c.Retention, Batches: c.BatchRetention}
	if r.Batches == 0 {
		r.Batches = c.Retention
	}
	for _, o := range c.RetentionOverrides {
		r.Overrides = append(r.Overrides, life.Override(o))
	}
	return r
}
