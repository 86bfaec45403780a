package apertureapiextension

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/confighttp"

	"github.com/aperture-collector/aperture-collector/internal/alert"
	"github.com/aperture-collector/aperture-collector/internal/alert/notify"
)

// AlertsConfig configures alerts: how often rules are evaluated, and who is told.
type AlertsConfig struct {
	// EvaluationInterval is the time between two evaluations of all rules. Of
	// several replicas one at a time evaluates. Default 15 s.
	EvaluationInterval time.Duration `mapstructure:"evaluation_interval"`
	// EvaluationDelay is how long before now the windows of rules on profiles end.
	// What arrives later than that is not counted. Default 10 s.
	EvaluationDelay time.Duration `mapstructure:"evaluation_delay"`
	// ExternalURL is where people reach this API, such as
	// https://profiles.example.com: links of alerts begin with it. Without it they
	// are paths.
	ExternalURL string `mapstructure:"external_url"`
	// MaxRules is how many rules a tenant may have. Default 1000.
	MaxRules int `mapstructure:"max_rules"`
	// Notify says who is told of alerts.
	Notify notify.Config `mapstructure:",squash"`

	_ struct{} // no unkeyed literals
}

func newDefaultAlertsConfig() AlertsConfig {
	return AlertsConfig{
		EvaluationInterval: alert.DefaultInterval, EvaluationDelay: defaultEvaluationDelay, MaxRules: alert.DefaultMaxRules,
	}
}

const (
	minEvaluationInterval = time.Second
	maxEvaluationInterval = time.Hour
	// defaultEvaluationDelay is more than agents, batches and queues that are not
	// behind take.
	defaultEvaluationDelay = 10 * time.Second
	maxEvaluationDelay     = time.Hour
	// maxMaxRules keeps what an evaluation reads from the store small.
	maxMaxRules = 10_000
)

// Validate checks the configuration.
func (c *AlertsConfig) Validate() error {
	var errs []error
	if d := c.EvaluationInterval; d < minEvaluationInterval || d > maxEvaluationInterval {
		errs = append(errs, fmt.Errorf("`evaluation_interval` is %s; it must be from %s to %s", d, minEvaluationInterval, maxEvaluationInterval))
	}
	if d := c.EvaluationDelay; d < 0 || d > maxEvaluationDelay {
		errs = append(errs, fmt.Errorf("`evaluation_delay` is %s; it must be from 0s to %s", d, maxEvaluationDelay))
	}
	if c.MaxRules < 1 || c.MaxRules > maxMaxRules {
		errs = append(errs, fmt.Errorf("`max_rules` is %d; it must be from 1 to %d", c.MaxRules, maxMaxRules))
	}
	if c.ExternalURL != "" {
		u, err := url.Parse(c.ExternalURL)
		switch {
		case err != nil:
			errs = append(errs, fmt.Errorf("`external_url` is no URL: %w", err))
		case u.Scheme != "http" && u.Scheme != "https", u.Host == "", u.RawQuery != "", u.Fragment != "", u.User != nil:
			errs = append(errs, fmt.Errorf("`external_url` is %q; it must be an http or https URL without credentials, query and fragment", u.Redacted()))
		}
	}
	return errors.Join(errs...)
}

// extensions returns those that requests to receivers go through, which must be
// started before.
func (c *AlertsConfig) extensions() []component.ID {
	var clients []*confighttp.ClientConfig
	if c.Notify.Alertmanager != nil {
		clients = append(clients, &c.Notify.Alertmanager.ClientConfig)
	}
	for _, name := range slices.Sorted(maps.Keys(c.Notify.Webhooks)) {
		w := c.Notify.Webhooks[name]
		clients = append(clients, &w.ClientConfig)
	}
	var ids []component.ID
	for _, client := range clients {
		if auth := client.Auth.Get(); auth != nil {
			ids = append(ids, auth.AuthenticatorID)
		}
		for _, m := range client.Middlewares {
			ids = append(ids, m.ID)
		}
	}
	return ids
}

// base returns what links begin with.
func (c *AlertsConfig) base() string { return strings.TrimRight(c.ExternalURL, "/") }
