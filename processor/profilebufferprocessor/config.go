package profilebufferprocessor

import (
	"errors"
	"fmt"
	"math"
	"time"

	"go.opentelemetry.io/collector/component"

	"github.com/aperture-collector/aperture-collector/internal/profile"
)

// Config is the configuration of the profile_buffer processor.
type Config struct {
	// Window is how long pushes are collected before they are handed on
	// together, and the length of the buckets of time that are summed. It is the
	// longest time a push waits while the next component keeps up. Default 1s.
	Window time.Duration `mapstructure:"window"`
	// MaxWindowBytes closes a window early when its estimated size, with all
	// stacks it refers to, reaches this. Until it is stored, a window takes several
	// times as much. Default 16 MiB.
	MaxWindowBytes int64 `mapstructure:"max_window_bytes"`
	// MaxWindowSamples closes a window early when it has this many aggregated
	// samples. Default 500,000.
	MaxWindowSamples int `mapstructure:"max_window_samples"`
	// MaxPendingBytes bounds the estimated size of everything that was taken and
	// is not yet handed on. Pushes beyond it are refused and worth a retry.
	// Default 128 MiB.
	MaxPendingBytes int64 `mapstructure:"max_pending_bytes"`
	// MaxInternBytes bounds the table of stacks that is kept over windows.
	// Default 64 MiB.
	MaxInternBytes int64 `mapstructure:"max_intern_bytes"`
	// MaxBatches bounds the number of recent ingest batches remembered. Default
	// 10,000. 0 remembers none.
	MaxBatches int `mapstructure:"max_batches"`
	// MaxBytes bounds the estimated size of the ingest batches remembered.
	// Default 64 MiB.
	MaxBytes int64 `mapstructure:"max_bytes"`
	// TenantHeader is the client metadata that names the tenant; it takes
	// precedence over the resource attribute `aperture.tenant.id`. Default
	// `x-scope-orgid`. Empty ignores metadata.
	TenantHeader string `mapstructure:"tenant_header"`
	// LiveView names the extension that shows recent batches (`aperture_api`).
	// None by default.
	LiveView *component.ID `mapstructure:"live_view"`
	// KeepProfiles keeps the profiles of recent windows in memory, for queries
	// without a store. Off by default.
	KeepProfiles KeepProfilesConfig `mapstructure:"keep_profiles"`
	// ShutdownTimeout is how long a shutdown waits for the next component to take
	// what was collected. Senders of the rest are told to try again. Default 10s.
	ShutdownTimeout time.Duration `mapstructure:"shutdown_timeout"`
	// Limits bound what one push may hold.
	Limits LimitsConfig `mapstructure:"limits"`

	// prevent unkeyed literal initialization
	_ struct{}
}

// KeepProfilesConfig says how long profiles stay queryable in memory.
type KeepProfilesConfig struct {
	// Duration is how long a window is kept. Default 0: profiles are not kept.
	Duration time.Duration `mapstructure:"duration"`
	// MaxBytes bounds the estimated size of the windows kept; the oldest make
	// room. Default 256 MiB.
	MaxBytes int64 `mapstructure:"max_bytes"`
	// prevent unkeyed literal initialization
	_ struct{}
}

// LimitsConfig bounds what one push may hold; a push beyond is refused for good.
type LimitsConfig struct {
	// MaxFrames is the largest number of frames of a stack. Default 2048.
	MaxFrames int `mapstructure:"max_frames"`
	// MaxTotalFrames is the largest number of frames of all stacks of a push.
	// Default 8,388,608.
	MaxTotalFrames int `mapstructure:"max_total_frames"`
	// MaxStringLength is the longest string in bytes. Default 65,536.
	MaxStringLength int `mapstructure:"max_string_length"`
	// MaxGroups is the largest number of groups of a push: observations of one
	// series and kind in many buckets of time make one each. Default 65,536.
	MaxGroups int `mapstructure:"max_groups"`
	// MaxLabels is the largest number of attributes of a resource, profile or
	// sample. Default 256.
	MaxLabels int `mapstructure:"max_labels"`
	// MaxWeeks is the largest number of different weeks that the observations of a
	// push fall on: each is a partition of its own in the store. Default 26.
	MaxWeeks int `mapstructure:"max_weeks"`
	// prevent unkeyed literal initialization
	_ struct{}
}

func (l LimitsConfig) limits() profile.Limits {
	return profile.Limits{
		MaxFrames: l.MaxFrames, MaxTotalFrames: l.MaxTotalFrames,
		MaxStringLength: l.MaxStringLength, MaxGroups: l.MaxGroups, MaxLabels: l.MaxLabels,
	}
}

// Validate checks the ranges of all values. Upper limits keep windows within
// what the clickhouse_profiles exporter reads.
func (c *Config) Validate() error {
	var errs []error
	if c.Window < time.Millisecond || c.Window > time.Minute {
		errs = append(errs, fmt.Errorf("`window` is %v; it must be between 1ms and 1m", c.Window))
	}
	for _, f := range []struct {
		key         string
		value       int64
		least, most int64
	}{
		{"max_window_bytes", c.MaxWindowBytes, 1 << 10, 1 << 30},
		{"max_window_samples", int64(c.MaxWindowSamples), 1, math.MaxInt32},
		{"max_pending_bytes", c.MaxPendingBytes, 1 << 10, math.MaxInt64},
		{"max_intern_bytes", c.MaxInternBytes, 0, math.MaxInt64},
		{"max_batches", int64(c.MaxBatches), 0, math.MaxInt32},
		{"max_bytes", c.MaxBytes, 0, math.MaxInt64},
		{"keep_profiles::duration", int64(c.KeepProfiles.Duration), 0, math.MaxInt64},
		{"keep_profiles::max_bytes", c.KeepProfiles.MaxBytes, 0, math.MaxInt64},
		{"shutdown_timeout", int64(c.ShutdownTimeout), 0, int64(time.Hour)},
		{"limits::max_frames", int64(c.Limits.MaxFrames), 1, 1 << 15},
		{"limits::max_total_frames", int64(c.Limits.MaxTotalFrames), 1, 1 << 25},
		{"limits::max_string_length", int64(c.Limits.MaxStringLength), 1, 1 << 20},
		{"limits::max_groups", int64(c.Limits.MaxGroups), 1, 1 << 20},
		{"limits::max_labels", int64(c.Limits.MaxLabels), 1, 1 << 10},
		{"limits::max_weeks", int64(c.Limits.MaxWeeks), 1, 520},
	} {
		if f.value < f.least {
			errs = append(errs, fmt.Errorf("`%s` is %d; it must be at least %d", f.key, f.value, f.least))
		}
		if f.value > f.most {
			errs = append(errs, fmt.Errorf("`%s` is %d; it must be at most %d", f.key, f.value, f.most))
		}
	}
	if c.MaxPendingBytes < c.MaxWindowBytes {
		errs = append(errs, fmt.Errorf("`max_pending_bytes` is %d; it must be at least `max_window_bytes` (%d)", c.MaxPendingBytes, c.MaxWindowBytes))
	}
	return errors.Join(errs...)
}
