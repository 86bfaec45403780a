package ebpfprofilingreceiver

import (
	"errors"
	"fmt"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap"
)

// Limits of the configuration.
const (
	maxFrequency    = 1000
	minInterval     = 100 * time.Millisecond
	maxInterval     = 10 * time.Minute
	minMapEntries   = 128
	maxMapEntries   = 1 << 20
	minSymbolCache  = 1 << 20
	maxAgentID      = 256
	defaultInterval = 10 * time.Second
)

// Config is the configuration of the ebpf_profiling receiver.
type Config struct {
	// SamplingFrequency is the number of samples per second and processor, from 1
	// to 1000. An odd number does not run in step with timers of programs.
	// Default 99.
	SamplingFrequency int `mapstructure:"sampling_frequency"`

	// Interval is how often a batch of profiles is emitted, from 100ms to 10m.
	// Default 10s.
	Interval time.Duration `mapstructure:"interval"`

	// MaxMapEntries is the number of different stacks that can be counted in an
	// interval, from 128 to 1048576. One entry takes about 250 bytes of kernel
	// memory. Samples beyond are lost, and counted as lost. Default 65536.
	MaxMapEntries int `mapstructure:"max_map_entries"`

	// SymbolCacheSize is how many bytes of symbol tables and names are kept, at
	// least 1048576 (1 MiB). Default 67108864 (64 MiB).
	SymbolCacheSize int64 `mapstructure:"symbol_cache_size"`

	// Tenant owns the profiles (resource attribute `aperture.tenant.id`). Without
	// it they belong to the default tenant. No default.
	Tenant string `mapstructure:"tenant"`

	// AgentID names this host as a source of profiles (resource attribute
	// `aperture.agent.id`), at most 256 bytes. The host's name by default.
	AgentID string `mapstructure:"agent_id"`

	// ExcludeSelf leaves the collector's own process out. Default false.
	ExcludeSelf bool `mapstructure:"exclude_self"`

	// Required makes the start of the collector fail where BPF cannot be used.
	// Otherwise the receiver says so once and does nothing. Default false.
	Required bool `mapstructure:"required"`
}

var _ confmap.Validator = (*Config)(nil)

func createDefaultConfig() component.Config {
	return &Config{
		SamplingFrequency: 99,
		Interval:          defaultInterval,
		MaxMapEntries:     65536,
		SymbolCacheSize:   64 << 20,
	}
}

// Validate checks the ranges of all keys.
func (c *Config) Validate() error {
	var errs error
	fail := func(format string, args ...any) { errs = errors.Join(errs, fmt.Errorf(format, args...)) }
	if c.SamplingFrequency < 1 || c.SamplingFrequency > maxFrequency {
		fail("`sampling_frequency` must be from 1 to %d, found %d", maxFrequency, c.SamplingFrequency)
	}
	if c.Interval < minInterval || c.Interval > maxInterval {
		fail("`interval` must be from %s to %s, found %s", minInterval, maxInterval, c.Interval)
	}
	if c.MaxMapEntries < minMapEntries || c.MaxMapEntries > maxMapEntries {
		fail("`max_map_entries` must be from %d to %d, found %d", minMapEntries, maxMapEntries, c.MaxMapEntries)
	}
	if c.SymbolCacheSize < minSymbolCache {
		fail("`symbol_cache_size` must be at least %d bytes, found %d", minSymbolCache, c.SymbolCacheSize)
	}
	if len(c.AgentID) > maxAgentID {
		fail("`agent_id` must have at most %d bytes, found %d", maxAgentID, len(c.AgentID))
	}
	return errs
}
