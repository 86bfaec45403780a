package notify

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/collector/config/confighttp"
	"go.opentelemetry.io/collector/config/configopaque"
	"go.opentelemetry.io/collector/config/configretry"
	"go.opentelemetry.io/collector/confmap"
)

// Config says who is told of alerts.
type Config struct {
	// Alertmanager is where alerts go to be grouped, silenced and routed.
	Alertmanager *AlertmanagerConfig `mapstructure:"alertmanager"`
	// Webhooks are URLs that alerts are posted to, by a name. The name is how it is
	// remembered which alerts a webhook was told of.
	Webhooks map[string]WebhookConfig `mapstructure:"webhooks"`
	// AllowedHosts are the only hosts that are called, if there are any: names,
	// `*.domain`, IP addresses, each with or without a port, and CIDRs. Link-local
	// and metadata addresses are called only if they are listed.
	AllowedHosts []string `mapstructure:"allowed_hosts"`

	_ struct{} // no unkeyed literals
}

// AlertmanagerConfig configures a cluster of Alertmanagers.
type AlertmanagerConfig struct {
	ClientConfig confighttp.ClientConfig `mapstructure:",squash"`
	// Endpoints are the URLs of all Alertmanagers of one cluster, without
	// `/api/v2/alerts`. Each is sent all alerts. Required.
	Endpoints []string `mapstructure:"endpoints"`
	// RepeatInterval is how often firing alerts are sent again. An alert ends by
	// itself four intervals after the last time. Default 1m.
	RepeatInterval time.Duration `mapstructure:"repeat_interval"`

	_ struct{} // no unkeyed literals
}

// WebhookConfig configures a webhook.
type WebhookConfig struct {
	ClientConfig confighttp.ClientConfig `mapstructure:",squash"`
	// Secret is the key by which requests are signed, at least 16 bytes; without
	// it they are not.
	Secret configopaque.String `mapstructure:"secret"`
	// RetryOnFailure says how often and how long a request is tried again. After
	// that it is left to the engine, which has more time.
	RetryOnFailure configretry.BackOffConfig `mapstructure:"retry_on_failure"`

	_ struct{} // no unkeyed literals
}

// defaultTimeout bounds a request if nothing else is configured.
const defaultTimeout = 10 * time.Second

// NewDefaultAlertmanagerConfig returns what is not configured otherwise.
func NewDefaultAlertmanagerConfig() AlertmanagerConfig {
	return AlertmanagerConfig{ClientConfig: defaultClient(), RepeatInterval: time.Minute}
}

// NewDefaultWebhookConfig returns what is not configured otherwise.
func NewDefaultWebhookConfig() WebhookConfig {
	c := WebhookConfig{ClientConfig: defaultClient(), RetryOnFailure: configretry.NewDefaultBackOffConfig()}
	c.RetryOnFailure.InitialInterval = time.Second
	c.RetryOnFailure.MaxInterval = 10 * time.Second
	c.RetryOnFailure.MaxElapsedTime = 30 * time.Second
	return c
}

func defaultClient() confighttp.ClientConfig {
	c := confighttp.NewDefaultClientConfig()
	c.Timeout = defaultTimeout
	return c
}

var (
	_ confmap.Unmarshaler = (*AlertmanagerConfig)(nil)
	_ confmap.Unmarshaler = (*WebhookConfig)(nil)
)

// Unmarshal implements confmap.Unmarshaler: nobody else can set the defaults of
// what is not there by default.
func (c *AlertmanagerConfig) Unmarshal(conf *confmap.Conf) error {
	*c = NewDefaultAlertmanagerConfig()
	if err := onlyKnown(conf, reflect.TypeOf(*c)); err != nil {
		return err
	}
	return conf.Unmarshal(c)
}

// Unmarshal implements confmap.Unmarshaler, as for AlertmanagerConfig.
func (c *WebhookConfig) Unmarshal(conf *confmap.Conf) error {
	*c = NewDefaultWebhookConfig()
	if err := onlyKnown(conf, reflect.TypeOf(*c)); err != nil {
		return err
	}
	return conf.Unmarshal(c)
}

// onlyKnown refuses keys that a struct does not have. With confighttp squashed
// into the struct confmap takes any, so that a misspelt `secret` would mean none.
func onlyKnown(conf *confmap.Conf, t reflect.Type) error {
	keys := make(map[string]bool)
	for _, t := range []reflect.Type{t, reflect.TypeFor[confighttp.ClientConfig]()} {
		for i := range t.NumField() {
			name, _, _ := strings.Cut(t.Field(i).Tag.Get("mapstructure"), ",")
			keys[name] = true
		}
	}
	for _, key := range slices.Sorted(maps.Keys(conf.ToStringMap())) {
		if key == "" || !keys[key] {
			return fmt.Errorf("invalid keys: %s", key)
		}
	}
	return nil
}

// names returns the names of the webhooks in order.
func (c *Config) names() []string {
	return slices.Sorted(maps.Keys(c.Webhooks))
}
