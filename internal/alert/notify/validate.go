package notify

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/collector/config/confighttp"
)

// webhookName is what a webhook may be called: it is a name in the store.
var webhookName = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,100}$`)

// minSecret is the shortest secret of a webhook in bytes.
const minSecret = 16

// maxTime bounds requests and their retries: the engine does not wait longer
// than two minutes for a notifier.
const maxTime = time.Minute

// Validate checks the configuration. Errors hold no URLs, which may be secrets.
func (c *Config) Validate() error {
	var errs []error
	guard, err := NewGuard(c.AllowedHosts)
	if err != nil {
		errs = append(errs, fmt.Errorf("`allowed_hosts`: %w", err))
		guard = &Guard{}
	}
	if c.Alertmanager != nil {
		errs = append(errs, c.Alertmanager.validate("`alertmanager::", guard)...)
	}
	for _, name := range c.names() {
		if !webhookName.MatchString(name) {
			errs = append(errs, fmt.Errorf("`webhooks` has the name %q; it may have up to 100 letters, digits and characters of _.-", name))
			continue
		}
		w := c.Webhooks[name]
		errs = append(errs, w.validate("`webhooks::"+name+"::", guard)...)
	}
	return errors.Join(errs...)
}

func (c *AlertmanagerConfig) validate(key string, guard *Guard) []error {
	errs := validateClient(&c.ClientConfig, key)
	if c.ClientConfig.Endpoint != "" {
		errs = append(errs, fmt.Errorf("%sendpoint` is not used; write %sendpoints`", key, key))
	}
	if len(c.Endpoints) == 0 {
		errs = append(errs, fmt.Errorf("%sendpoints` must have the URL of at least one Alertmanager", key))
	}
	for i, endpoint := range c.Endpoints {
		at := key + "endpoints::" + strconv.Itoa(i) + "`"
		u, err := parseEndpoint(endpoint, guard.of(&c.ClientConfig))
		switch {
		case err != nil:
			errs = append(errs, fmt.Errorf("%s: %w", at, err))
		case u.RawQuery != "":
			errs = append(errs, fmt.Errorf("%s has a query; it must be a URL without", at))
		}
	}
	if c.RepeatInterval < time.Second || c.RepeatInterval > time.Hour {
		errs = append(errs, fmt.Errorf("%srepeat_interval` is %s; it must be from 1s to 1h", key, c.RepeatInterval))
	}
	return errs
}

func (c *WebhookConfig) validate(key string, guard *Guard) []error {
	errs := validateClient(&c.ClientConfig, key)
	if _, err := parseEndpoint(c.ClientConfig.Endpoint, guard.of(&c.ClientConfig)); err != nil {
		errs = append(errs, fmt.Errorf("%sendpoint`: %w", key, err))
	}
	if n := len(c.Secret); n > 0 && n < minSecret {
		errs = append(errs, fmt.Errorf("%ssecret` is %d bytes long; it must be at least %d", key, n, minSecret))
	}
	if r := c.RetryOnFailure; r.Enabled && (r.MaxElapsedTime <= 0 || r.MaxElapsedTime > maxTime) {
		errs = append(errs, fmt.Errorf("%sretry_on_failure::max_elapsed_time` is %s; it must be more than 0 and at most %s", key, r.MaxElapsedTime, maxTime))
	}
	return errs
}

func validateClient(c *confighttp.ClientConfig, key string) []error {
	var errs []error
	if c.Timeout <= 0 || c.Timeout > maxTime {
		errs = append(errs, fmt.Errorf("%stimeout` is %s; it must be more than 0 and at most %s", key, c.Timeout, maxTime))
	}
	if c.Compression.IsCompressed() {
		errs = append(errs, fmt.Errorf("%scompression` is %s; requests are small and signed as they are", key, c.Compression))
	}
	if c.ProxyURL != "" {
		if _, err := proxyAddress(c.ProxyURL); err != nil {
			errs = append(errs, fmt.Errorf("%sproxy_url`: %w", key, err))
		}
	}
	return errs
}

// parseEndpoint parses the URL of a receiver that a guard lets through.
func parseEndpoint(endpoint string, guard *Guard) (*url.URL, error) {
	u, err := url.Parse(endpoint)
	if err != nil {
		return nil, fmt.Errorf("parse URL: %w", withoutURL(err))
	}
	switch {
	case u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return nil, errors.New("is no http or https URL")
	case u.User != nil:
		return nil, errors.New("has credentials in the URL; use `headers` or `auth`")
	case u.Fragment != "":
		return nil, errors.New("has a fragment; it must be a URL without")
	}
	host, port := u.Hostname(), portOf(u)
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return nil, fmt.Errorf("has the port %q; it must be from 1 to 65535", port)
	}
	if !strings.Contains(host, ":") && !isName(normalName(host)) && !isAddr(host) {
		return nil, fmt.Errorf("has the host %q; it must be a name in ASCII or an IP address", host)
	}
	return u, guard.CheckHost(host, port)
}

// defaultPorts are those of net/http.
var defaultPorts = map[string]string{"http": "80", "https": "443", "socks5": "1080", "socks5h": "1080"}

func portOf(u *url.URL) string {
	if port := u.Port(); port != "" {
		return port
	}
	return defaultPorts[u.Scheme]
}
