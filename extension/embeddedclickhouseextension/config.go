package embeddedclickhouseextension

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"go.opentelemetry.io/collector/component"

	"github.com/aperture-collector/aperture-collector/internal/chserver"
)

// Config of the embedded_clickhouse extension.
type Config struct {
	// DataDir is the directory of data, log and password. One process at a time
	// can use it. Required.
	DataDir string `mapstructure:"data_dir"`
	// TCPPort is the loopback port of the native protocol; 0, the default, picks
	// a free one.
	TCPPort int `mapstructure:"tcp_port"`
	// HTTPPort is the loopback port of the HTTP interface; 0, the default, picks
	// a free one.
	HTTPPort int `mapstructure:"http_port"`
	// Launcher is the path of the clickhouse-embedded program. By default it is
	// looked for beside the collector and in /usr/lib/aperture-collector.
	Launcher string `mapstructure:"launcher"`
	// Library is the path of libchdb.so. By default it is looked for in lib/ beside
	// the collector, beside it, and in /usr/lib/aperture-collector.
	Library string `mapstructure:"library"`
	// MemoryLimit bounds the memory of the server in bytes. Default 2 GiB.
	MemoryLimit int64 `mapstructure:"memory_limit"`
	// StartTimeout is how long the start of the collector waits for the server;
	// after that it goes on without. Default 30 s.
	StartTimeout time.Duration `mapstructure:"start_timeout"`
	// ServerSettings are further scalar settings of the server, by the names of
	// its config.xml. Values are strings, numbers or booleans.
	ServerSettings map[string]any `mapstructure:"server_settings"`
}

var _ component.Config = (*Config)(nil)

// Validate reports every value that is out of range, by its key.
func (c *Config) Validate() error {
	var errs []error
	if c.DataDir == "" {
		errs = append(errs, errors.New("`data_dir` is required"))
	}
	for _, p := range []struct {
		key  string
		port int
	}{{"tcp_port", c.TCPPort}, {"http_port", c.HTTPPort}} {
		if p.port < 0 || p.port > math.MaxUint16 {
			errs = append(errs, fmt.Errorf("`%s` is %d; it must be between 0 and %d", p.key, p.port, math.MaxUint16))
		}
	}
	if c.TCPPort != 0 && c.TCPPort == c.HTTPPort {
		errs = append(errs, fmt.Errorf("`tcp_port` and `http_port` are both %d; they must differ", c.TCPPort))
	}
	if c.MemoryLimit < chserver.MinMemoryLimit {
		errs = append(errs, fmt.Errorf("`memory_limit` is %d; it must be at least %d bytes", c.MemoryLimit, int64(chserver.MinMemoryLimit)))
	}
	if c.StartTimeout <= 0 {
		errs = append(errs, fmt.Errorf("`start_timeout` is %s; it must be positive", c.StartTimeout))
	}
	for _, name := range slices.Sorted(maps.Keys(c.ServerSettings)) {
		if err := chserver.CheckSetting(name); err != nil {
			errs = append(errs, fmt.Errorf("`server_settings`: %w", err))
		}
		switch value := c.ServerSettings[name].(type) {
		case string, bool, int, int64, uint64, float64:
		default:
			errs = append(errs, fmt.Errorf("`server_settings::%s` is a %T; it must be a string, a number or a boolean", name, value))
		}
	}
	return errors.Join(errs...)
}

// settings is ServerSettings as text.
func (c *Config) settings() map[string]string {
	text := make(map[string]string, len(c.ServerSettings))
	for name, value := range c.ServerSettings {
		text[name] = fmt.Sprint(value)
	}
	return text
}
