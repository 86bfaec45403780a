package apertureapiextension

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"go.opentelemetry.io/collector/component"
)

// Config configures the Aperture API.
type Config struct {
	// Server is the http_server extension on which the API is mounted. Required.
	Server component.ID `mapstructure:"server"`
	// Store is the profile store that is queried. Without it, queries are
	// answered from what a profile_buffer processor keeps in memory.
	Store *component.ID `mapstructure:"store"`
	// TelemetryEndpoint is the collector's own Prometheus endpoint, which
	// /metrics and /api/health are made of. Default
	// http://127.0.0.1:8888/metrics.
	TelemetryEndpoint string `mapstructure:"telemetry_endpoint"`
	// MaxStacks is how many stacks per kind an answer has at most if the request
	// gives no limit. Default 2000.
	MaxStacks int `mapstructure:"max_stacks"`
	// StacksCap is the largest limit that a request can ask for; larger ones are
	// cut down to it. Collapsed exports have it as their default. Default 100000.
	StacksCap int `mapstructure:"stacks_cap"`
	// QueryTimeout bounds every query. Default 30 s.
	QueryTimeout time.Duration `mapstructure:"query_timeout"`
	// ShareLiveAnswers is for how long the answer to POST /api/aggregate for a range
	// that ends now is given to others who ask for a range as long. Default 1 s; 0
	// turns it off.
	ShareLiveAnswers time.Duration `mapstructure:"share_live_answers"`
	// TenantHeader is the HTTP header or gRPC metadata that names the tenant;
	// requests without it belong to the tenant `anonymous`. If it is empty, all
	// do. Default x-scope-orgid.
	TenantHeader string `mapstructure:"tenant_header"`
	// AllowDelete lets clients delete the data of a service, an agent or a tenant.
	// Default false.
	AllowDelete bool `mapstructure:"allow_delete"`
	// Alerts says how alert rules are evaluated and who is told.
	Alerts AlertsConfig `mapstructure:"alerts"`

	_ struct{} // no unkeyed literals
}

// maxStacksCap bounds what an answer can take in memory.
const maxStacksCap = 1_000_000

// maxLiveAge is how old an answer may be that still counts as live.
const maxLiveAge = 30 * time.Second

// Validate checks the configuration.
func (c *Config) Validate() error {
	var errs []error
	if c.Server == (component.ID{}) {
		errs = append(errs, errors.New("`server` must name an http_server extension"))
	}
	if err := validateEndpoint(c.TelemetryEndpoint); err != nil {
		errs = append(errs, err)
	}
	if c.StacksCap < 1 || c.StacksCap > maxStacksCap {
		errs = append(errs, fmt.Errorf("`stacks_cap` is %d; it must be from 1 to %d", c.StacksCap, maxStacksCap))
	}
	if c.MaxStacks < 1 || c.MaxStacks > c.StacksCap {
		errs = append(errs, fmt.Errorf("`max_stacks` is %d; it must be from 1 to `stacks_cap`, which is %d", c.MaxStacks, c.StacksCap))
	}
	if c.QueryTimeout <= 0 {
		errs = append(errs, fmt.Errorf("`query_timeout` is %s; it must be more than 0", c.QueryTimeout))
	}
	if c.ShareLiveAnswers < 0 || c.ShareLiveAnswers > maxLiveAge {
		errs = append(errs, fmt.Errorf("`share_live_answers` is %s; it must be from 0 to %s", c.ShareLiveAnswers, maxLiveAge))
	}
	if strings.ContainsFunc(c.TenantHeader, notInHeader) {
		errs = append(errs, fmt.Errorf("`tenant_header` is %q; it may have letters, digits and hyphens", c.TenantHeader))
	}
	return errors.Join(errs...)
}

func validateEndpoint(endpoint string) error {
	u, err := url.Parse(endpoint)
	if err != nil {
		return fmt.Errorf("`telemetry_endpoint` is no URL: %w", err)
	}
	if s := strings.ToLower(u.Scheme); s != "http" && s != "https" || u.Host == "" {
		return fmt.Errorf("`telemetry_endpoint` is %q; it must be an http or https URL", endpoint)
	}
	return nil
}

func notInHeader(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-'
}
