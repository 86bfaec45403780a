package pyroscopereceiver

import (
	"errors"
	"fmt"
	"math"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap"

	"github.com/aperture-collector/aperture-collector/internal/pyroscope/ingest"
	"github.com/aperture-collector/aperture-collector/internal/tenant"
)

const mib = 1 << 20

// maxSize bounds the configured sizes of bodies and profiles.
const maxSize = 1 << 30

// Config is the configuration of the pyroscope receiver.
type Config struct {
	// Server is the http_server extension that it answers on. Its
	// `max_request_body_size` bounds bodies too, also inflated ones.
	Server component.ID `mapstructure:"server"`

	// Multitenancy takes the tenant from the header X-Scope-OrgID, without which
	// requests are refused. Off by default: all data is of the tenant anonymous.
	Multitenancy bool `mapstructure:"multitenancy"`

	// MaxBodySize is the largest body of a request in bytes, without
	// Content-Encoding. Messages of push.v1 are at most 32 MiB in any case, bodies of
	// POST /ingest at most 1 MiB larger than two of the tenant's largest recordings.
	// Default 268435456 (256 MiB).
	MaxBodySize int64 `mapstructure:"max_body_size"`

	// MaxInflightSize is the most bytes of all bodies that are worked on at one time;
	// a request beyond it is refused and may be retried. What is made of them takes
	// memory too; that of pushes with more than 4 MiB of inflated profiles counts, with
	// 16 times the size of the rest. Default 536870912 (512 MiB).
	MaxInflightSize int64 `mapstructure:"max_inflight_size"`

	// Limits are those of each tenant, with the defaults of Pyroscope.
	Limits LimitsConfig `mapstructure:"limits"`

	// Overrides are limits of single tenants. Keys that are not there are those of
	// `limits`.
	Overrides map[string]LimitsConfig `mapstructure:"overrides"`

	_ struct{} // no unkeyed literals
}

// LimitsConfig bounds what a tenant may push. 0 is unlimited, within what the rest of
// the collector takes.
type LimitsConfig struct {
	// IngestionRate is how many bytes of inflated profiles are taken in a second.
	// Default 4194304 (4 MiB).
	IngestionRate int64 `mapstructure:"ingestion_rate"`
	// IngestionBurst is how many of them may come at once. A larger profile is taken
	// after a pause. Default 2097152 (2 MiB).
	IngestionBurst int64 `mapstructure:"ingestion_burst"`
	// MaxSeries is how many different series there may be within an hour. Default 5000.
	MaxSeries int `mapstructure:"max_series"`
	// MaxProfileSize is the largest profile in bytes, inflated. Recordings of JFR, of
	// which most is not in profiles, may be 4 times as large. Default 4194304 (4 MiB).
	MaxProfileSize int64 `mapstructure:"max_profile_size"`
	// MaxSamples is the largest number of samples of a profile. Default 16000.
	MaxSamples int `mapstructure:"max_samples"`
	// MaxSampleLabels is the largest number of labels of a sample. Default 100.
	MaxSampleLabels int `mapstructure:"max_sample_labels"`
	// MaxDepth is the largest number of frames of a stack; of deeper ones the root
	// part is kept. Default 1000.
	MaxDepth int `mapstructure:"max_depth"`
	// MaxSymbolLength is the longest name in bytes; of longer ones the end is kept.
	// Default 65535.
	MaxSymbolLength int `mapstructure:"max_symbol_length"`
	// MaxLabelNames is the largest number of labels of a series. Default 30.
	MaxLabelNames int `mapstructure:"max_label_names"`
	// MaxLabelNameLength is the longest name of a label in bytes. Default 1024.
	MaxLabelNameLength int `mapstructure:"max_label_name_length"`
	// MaxLabelValueLength is the longest value of a label in bytes. Default 2048.
	MaxLabelValueLength int `mapstructure:"max_label_value_length"`
	// RejectOlderThan is how long before now the time of a profile may be. Default 1h.
	RejectOlderThan time.Duration `mapstructure:"reject_older_than"`
	// RejectNewerThan is how long after now it may be. Default 10m.
	RejectNewerThan time.Duration `mapstructure:"reject_newer_than"`

	_ struct{} // no unkeyed literals
}

var (
	_ confmap.Validator   = (*Config)(nil)
	_ confmap.Unmarshaler = (*Config)(nil)
)

// Unmarshal reads the overrides upon the limits that they change.
func (c *Config) Unmarshal(conf *confmap.Conf) error {
	type plain Config
	if err := conf.Unmarshal((*plain)(c)); err != nil {
		return err
	}
	if len(c.Overrides) == 0 {
		return nil
	}
	all, err := conf.Sub("overrides")
	if err != nil {
		return fmt.Errorf("read `overrides`: %w", err)
	}
	for name := range c.Overrides {
		of, err := all.Sub(name)
		if err != nil {
			return fmt.Errorf("read `overrides::%s`: %w", name, err)
		}
		limits := c.Limits
		if err := of.Unmarshal(&limits); err != nil {
			return fmt.Errorf("read `overrides::%s`: %w", name, err)
		}
		c.Overrides[name] = limits
	}
	return nil
}

// Validate checks the ranges of all values.
func (c *Config) Validate() error {
	var errs []error
	if c.Server == (component.ID{}) {
		errs = append(errs, errors.New("`server` must name an http_server extension"))
	}
	if c.MaxBodySize < 1 || c.MaxBodySize > maxSize {
		errs = append(errs, fmt.Errorf("`max_body_size` is %d; it must be from 1 to %d", c.MaxBodySize, maxSize))
	}
	if c.MaxInflightSize < c.MaxBodySize {
		errs = append(errs, fmt.Errorf("`max_inflight_size` is %d; it must be at least `max_body_size` (%d)", c.MaxInflightSize, c.MaxBodySize))
	}
	errs = append(errs, c.Limits.validate("limits"))
	for name, limits := range c.Overrides {
		if err := tenant.Validate(name); err != nil {
			errs = append(errs, fmt.Errorf("`overrides` has %q: %w", name, err))
		}
		errs = append(errs, limits.validate("overrides::"+name))
	}
	return errors.Join(errs...)
}

func (l *LimitsConfig) validate(under string) error {
	var errs []error
	for _, f := range []struct {
		key   string
		value int64
		most  int64
	}{
		{"ingestion_rate", l.IngestionRate, 1 << 40},
		{"ingestion_burst", l.IngestionBurst, 1 << 40},
		{"max_series", int64(l.MaxSeries), math.MaxInt32},
		{"max_profile_size", l.MaxProfileSize, maxSize},
		{"max_samples", int64(l.MaxSamples), 4 << 20},
		{"max_sample_labels", int64(l.MaxSampleLabels), 256},
		{"max_depth", int64(l.MaxDepth), 2048},
		{"max_symbol_length", int64(l.MaxSymbolLength), 64 << 10},
		{"max_label_names", int64(l.MaxLabelNames), 250},
		{"max_label_name_length", int64(l.MaxLabelNameLength), 64 << 10},
		{"max_label_value_length", int64(l.MaxLabelValueLength), 64 << 10},
		{"reject_older_than", int64(l.RejectOlderThan), math.MaxInt64},
		{"reject_newer_than", int64(l.RejectNewerThan), math.MaxInt64},
	} {
		if f.value < 0 || f.value > f.most {
			errs = append(errs, fmt.Errorf("`%s::%s` is %d; it must be from 0 to %d", under, f.key, f.value, f.most))
		}
	}
	if l.IngestionRate > 0 && l.IngestionBurst == 0 {
		errs = append(errs, fmt.Errorf("`%s::ingestion_burst` is 0; with `ingestion_rate` it must be at least 1", under))
	}
	return errors.Join(errs...)
}

// ingest returns the limits of single profiles.
func (l *LimitsConfig) ingest() *ingest.Limits {
	return &ingest.Limits{
		MaxSize: l.MaxProfileSize, MaxSamples: l.MaxSamples, MaxSampleLabels: l.MaxSampleLabels,
		MaxDepth: l.MaxDepth, MaxSymbolLength: l.MaxSymbolLength,
		MaxLabelNames: l.MaxLabelNames, MaxLabelName: l.MaxLabelNameLength, MaxLabelValue: l.MaxLabelValueLength,
		Before: l.RejectOlderThan, After: l.RejectNewerThan,
	}
}
