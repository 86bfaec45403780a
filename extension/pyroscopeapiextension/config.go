package pyroscopeapiextension

import (
	"errors"
	"fmt"
	"time"

	"go.opentelemetry.io/collector/component"
)

// Config configures the Pyroscope API.
type Config struct {
	// Server is the http_server extension on which the API is mounted. Required.
	Server component.ID `mapstructure:"server"`
	// Store is the profile store that is queried. Required.
	Store component.ID `mapstructure:"store"`
	// Storage is a storage extension that keeps settings and ad hoc profiles. Without
	// it they are kept in memory and gone after a restart.
	Storage *component.ID `mapstructure:"storage"`
	// Multitenancy takes the tenant from the header X-Scope-OrgID and refuses requests
	// without it. Otherwise everything belongs to the tenant `anonymous`. Default false.
	Multitenancy bool `mapstructure:"multitenancy"`
	// QueryTimeout bounds every query. Default 30 s.
	QueryTimeout time.Duration `mapstructure:"query_timeout"`
	// MaxStacks is how many different stacks of a profile type a query may be about;
	// one that is about more is refused, because sums without some would be wrong.
	// Default 1000000.
	MaxStacks int `mapstructure:"max_stacks"`
	// Limits are those of requests, by the names they have in Pyroscope.
	Limits LimitsConfig `mapstructure:"limits"`
	// Compatibility says where answers are those of Pyroscope's server instead of those
	// that its documentation describes.
	Compatibility CompatibilityConfig `mapstructure:"compatibility"`

	_ struct{} // no unkeyed literals
}

// CompatibilityConfig has what Pyroscope's documentation and server do differently.
type CompatibilityConfig struct {
	// RefuseMaxNodes answers 400 to requests for more nodes than
	// `limits::max_flamegraph_nodes_max`, as the server does. Otherwise they get as many
	// as that. Default false.
	RefuseMaxNodes bool `mapstructure:"refuse_max_nodes"`
	// CoarseTimeline has the steps of timelines begin at 15 s, as the server's do.
	// Otherwise they begin at 10 s. Default false.
	CoarseTimeline bool `mapstructure:"coarse_timeline"`

	_ struct{} // no unkeyed literals
}

// LimitsConfig bounds what a request can ask for. 0 is no bound.
type LimitsConfig struct {
	// MaxQueryLength is the longest range of time of a query. Default 24 h.
	MaxQueryLength time.Duration `mapstructure:"max_query_length"`
	// MaxQueryLookback is how far back queries reach; what is before is left out.
	// Default 168 h.
	MaxQueryLookback time.Duration `mapstructure:"max_query_lookback"`
	// MaxFlamegraphNodesDefault is how many nodes a flame graph has at most if the
	// request does not say. Default 8192.
	MaxFlamegraphNodesDefault int64 `mapstructure:"max_flamegraph_nodes_default"`
	// MaxFlamegraphNodesMax is the most nodes that a request gets. Default 1048576.
	MaxFlamegraphNodesMax int64 `mapstructure:"max_flamegraph_nodes_max"`
	// MaxConcurrentQueries is how many queries of a tenant run at a time; up to 100
	// further ones wait, and what is beyond them is refused. Default 32.
	MaxConcurrentQueries int `mapstructure:"max_concurrent_queries"`

	_ struct{} // no unkeyed literals
}

// maxStacksCap bounds what an answer can take in memory.
const maxStacksCap = 10_000_000

// Validate checks the configuration.
func (c *Config) Validate() error {
	var errs []error
	if c.Server == (component.ID{}) {
		errs = append(errs, errors.New("`server` must name an http_server extension"))
	}
	if c.Store == (component.ID{}) {
		errs = append(errs, errors.New("`store` must name a profile_store extension"))
	}
	if c.QueryTimeout <= 0 {
		errs = append(errs, fmt.Errorf("`query_timeout` is %s; it must be more than 0", c.QueryTimeout))
	}
	if c.MaxStacks < 1 || c.MaxStacks > maxStacksCap {
		errs = append(errs, fmt.Errorf("`max_stacks` is %d; it must be from 1 to %d", c.MaxStacks, maxStacksCap))
	}
	for _, l := range []struct {
		key   string
		value int64
	}{
		{"max_query_length", int64(c.Limits.MaxQueryLength)},
		{"max_query_lookback", int64(c.Limits.MaxQueryLookback)},
		{"max_flamegraph_nodes_default", c.Limits.MaxFlamegraphNodesDefault},
		{"max_flamegraph_nodes_max", c.Limits.MaxFlamegraphNodesMax},
		{"max_concurrent_queries", int64(c.Limits.MaxConcurrentQueries)},
	} {
		if l.value < 0 {
			errs = append(errs, fmt.Errorf("`limits::%s` must not be negative; 0 is no bound", l.key))
		}
	}
	if n := c.Limits.MaxFlamegraphNodesMax; n > 0 && c.Limits.MaxFlamegraphNodesDefault > n {
		errs = append(errs, fmt.Errorf("`limits::max_flamegraph_nodes_default` is %d; it must be at most `limits::max_flamegraph_nodes_max`, which is %d",
			c.Limits.MaxFlamegraphNodesDefault, n))
	}
	return errors.Join(errs...)
}
