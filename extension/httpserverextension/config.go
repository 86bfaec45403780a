package httpserverextension

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"go.opentelemetry.io/collector/config/confighttp"
	"go.opentelemetry.io/collector/confmap"
)

// Config configures a listener. The keys of confighttp's server (endpoint,
// transport, tls, auth, cors, max_request_body_size, compression_algorithms,
// read_timeout, read_header_timeout, write_timeout, keepalive, response_headers,
// include_metadata, middlewares) stand beside our own.
type Config struct {
	ServerConfig confighttp.ServerConfig `mapstructure:",squash"`
	Limits       LimitsConfig            `mapstructure:",squash"`

	_ struct{} // no unkeyed literals
}

// LimitsConfig are the keys of our own.
type LimitsConfig struct {
	// AllowedHosts are the host names, without a port, that requests may ask for;
	// others are answered with 403. IP addresses and localhost are always allowed.
	// "*" allows any. The default, none, allows any unless the listener is on
	// loopback: there, no name but localhost.
	AllowedHosts []string `mapstructure:"allowed_hosts"`
	// MaxConcurrentRequests is how many requests are served at a time; further
	// ones are answered with 503 and Retry-After. 0 is unlimited. Default 256.
	MaxConcurrentRequests int `mapstructure:"max_concurrent_requests"`
	// MaxHeaderBytes bounds the request line and headers of a request. Default
	// 64 KiB.
	MaxHeaderBytes int `mapstructure:"max_header_bytes"`
	// RetryAfter is what refused clients are told to wait. Default 1 s.
	RetryAfter time.Duration `mapstructure:"retry_after"`
	// ShutdownTimeout bounds how long a shutdown waits for requests that are
	// being served; they are cut off then. Default 10 s.
	ShutdownTimeout time.Duration `mapstructure:"shutdown_timeout"`
}

// serverKeys has the keys of confighttp's server without its Unmarshal method.
type serverKeys confighttp.ServerConfig

// Unmarshal refuses unknown keys, which confmap lets pass beside a squashed
// struct that, as confighttp's, has an Unmarshal method.
func (c *Config) Unmarshal(conf *confmap.Conf) error {
	strict := struct {
		Server serverKeys   `mapstructure:",squash"`
		Limits LimitsConfig `mapstructure:",squash"`
	}{Limits: c.Limits}
	if err := conf.Unmarshal(&strict); err != nil {
		return err
	}
	c.Limits = strict.Limits
	return c.ServerConfig.Unmarshal(conf)
}

// Validate checks the keys that confighttp does not.
func (c *Config) Validate() error {
	var errs []error
	if c.ServerConfig.NetAddr.Endpoint == "" {
		errs = append(errs, errors.New("`endpoint` must not be empty"))
	}
	if c.ServerConfig.MaxRequestBodySize <= 0 {
		errs = append(errs, fmt.Errorf("`max_request_body_size` is %d; it must be at least 1", c.ServerConfig.MaxRequestBodySize))
	}
	if c.Limits.MaxConcurrentRequests < 0 {
		errs = append(errs, fmt.Errorf("`max_concurrent_requests` is %d; it must be at least 0", c.Limits.MaxConcurrentRequests))
	}
	if c.Limits.MaxHeaderBytes < minHeaderBytes {
		errs = append(errs, fmt.Errorf("`max_header_bytes` is %d; it must be at least %d", c.Limits.MaxHeaderBytes, minHeaderBytes))
	}
	for _, host := range c.Limits.AllowedHosts {
		if host == "" || host != anyHost && strings.ContainsAny(host, "*/:[] ") {
			errs = append(errs, fmt.Errorf("`allowed_hosts` has %q; it must be a host name without scheme, port and wildcards, or %q", host, anyHost))
		}
	}
	for _, d := range []struct {
		key   string
		value time.Duration
	}{
		{"retry_after", c.Limits.RetryAfter},
		{"shutdown_timeout", c.Limits.ShutdownTimeout},
		{"read_header_timeout", c.ServerConfig.ReadHeaderTimeout},
	} {
		if d.value <= 0 {
			errs = append(errs, fmt.Errorf("`%s` is %s; it must be more than 0", d.key, d.value))
		}
	}
	return errors.Join(errs...)
}

// anyHost in `allowed_hosts` allows any name.
const anyHost = "*"

// minHeaderBytes leaves room for the headers that any client sends.
const minHeaderBytes = 1024
