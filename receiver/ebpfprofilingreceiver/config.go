package ebpfprofilingreceiver

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap"

	"github.com/aperture-collector/aperture-collector/internal/procinfo"
	"github.com/aperture-collector/aperture-collector/internal/profile"
)

// Limits of the configuration.
const (
	maxFrequency    = 1000
	minInterval     = 100 * time.Millisecond
	maxInterval     = 10 * time.Minute
	minMapEntries   = 128
	maxMapEntries   = 1 << 20
	minSymbolCache  = 1 << 20
	maxSymbolCache  = 1 << 40
	maxAgentID      = 256
	defaultInterval = 10 * time.Second
	maxDuration     = time.Minute
	minTables       = 1 << 20
	maxTables       = 256 << 20
)

// Config is the configuration of the ebpf_profiling receiver.
type Config struct {
	// Profiles are those to take: `cpu` (on-CPU time), `off_cpu` (blocked time),
	// `lock` (contention of user and kernel locks) and `syscall` (latency of
	// system calls). Default all of them.
	Profiles []string `mapstructure:"profiles"`

	// SamplingFrequency is the number of CPU samples per second and processor,
	// from 1 to 1000. An odd number does not run in step with timers of programs.
	// Default 99.
	SamplingFrequency int `mapstructure:"sampling_frequency"`

	// OffCPUMinDuration is the shortest wait that the off_cpu profile takes, from
	// 0 to 1m. Shorter waits are not measured. Default 1ms.
	OffCPUMinDuration time.Duration `mapstructure:"off_cpu_min_duration"`

	// LockMinDuration is the shortest wait for a lock that has its stack taken,
	// from 0 to 1m. Shorter waits are counted without one. Default 10us.
	LockMinDuration time.Duration `mapstructure:"lock_min_duration"`

	// SyscallSlowThreshold is from when on a system call has its stack taken, up to
	// 1m; 0 for never. Default 10ms.
	SyscallSlowThreshold time.Duration `mapstructure:"syscall_slow_threshold"`

	// Targets are the processes to profile. Default everything.
	Targets procinfo.TargetsConfig `mapstructure:"targets"`

	// ExcludeSelf leaves the collector's own process out. Default false.
	ExcludeSelf bool `mapstructure:"exclude_self"`

	// MaxOverhead is the part of every processor that the programs in the kernel,
	// and collecting what they counted, may use all together, from 0 to 1; 0 for no
	// limit. Before it is reached, rates are lowered and thresholds raised, at last
	// profiles are switched off, and all that is restored later. Reading symbols
	// and unwind tables of new programs is not part of it. Default 0.01.
	MaxOverhead float64 `mapstructure:"max_overhead"`

	// Interval is how often a batch of profiles is emitted, from 100ms to 10m.
	// Default 10s.
	Interval time.Duration `mapstructure:"interval"`

	// MaxMapEntries is the number of different stacks that the CPU profile can
	// count in an interval, from 128 to 1048576; off-CPU waits and locks of programs
	// have half as many, locks of the kernel and slow system calls a quarter. One
	// entry takes about 250 bytes of kernel memory. Samples beyond are lost, and
	// counted as lost. Default 0, which is 8192 for each processor, but from 16384
	// to 131072.
	MaxMapEntries int `mapstructure:"max_map_entries"`

	// MaxUnwindTableSize is how many bytes of kernel memory the unwind tables of
	// executables may take, from 1048576 (1 MiB) to 268435456 (256 MiB). Stacks of
	// executables beyond follow frame pointers. Default 37748736 (36 MiB).
	MaxUnwindTableSize int64 `mapstructure:"max_unwind_table_size"`

	// SymbolCacheSize is how many bytes of symbol tables and names are kept, from
	// 1048576 (1 MiB) to 1099511627776 (1 TiB). Default 33554432 (32 MiB).
	SymbolCacheSize int64 `mapstructure:"symbol_cache_size"`

	// Tenant owns the profiles (resource attribute `aperture.tenant.id`). Without
	// it they belong to the default tenant. No default.
	Tenant string `mapstructure:"tenant"`

	// AgentID names this host as a source of profiles (resource attribute
	// `aperture.agent.id`), at most 256 bytes. The host's name by default.
	AgentID string `mapstructure:"agent_id"`

	// Required makes the start of the collector fail where a profile cannot run.
	// Otherwise the receiver says so once and goes on without. Default false.
	Required bool `mapstructure:"required"`
}

var _ confmap.Validator = (*Config)(nil)

// kinds are the profiles that there are, in the order of their numbers in the
// kernel (bpf.Kind).
var kinds = []string{profile.KindCPU, profile.KindOffCPU, profile.KindLock, profile.KindSyscall}

func createDefaultConfig() component.Config {
	return &Config{
		Profiles:             slices.Clone(kinds),
		SamplingFrequency:    99,
		OffCPUMinDuration:    time.Millisecond,
		LockMinDuration:      10 * time.Microsecond,
		SyscallSlowThreshold: 10 * time.Millisecond,
		MaxOverhead:          0.01,
		Interval:             defaultInterval,
		MaxUnwindTableSize:   36 << 20,
		SymbolCacheSize:      32 << 20,
	}
}

// Validate checks the ranges of all keys.
func (c *Config) Validate() error {
	var errs error
	fail := func(format string, args ...any) { errs = errors.Join(errs, fmt.Errorf(format, args...)) }
	if len(c.Profiles) == 0 {
		fail("`profiles` must name at least one of %s", strings.Join(kinds, ", "))
	}
	for i, p := range c.Profiles {
		if !slices.Contains(kinds, p) {
			fail("`profiles[%d]` must be one of %s, found %q", i, strings.Join(kinds, ", "), p)
		} else if first := slices.Index(c.Profiles, p); first < i {
			fail("`profiles[%d]` must not be the same as `profiles[%d]`, found %q", i, first, p)
		}
	}
	if c.SamplingFrequency < 1 || c.SamplingFrequency > maxFrequency {
		fail("`sampling_frequency` must be from 1 to %d, found %d", maxFrequency, c.SamplingFrequency)
	}
	for _, k := range []struct {
		name  string
		value time.Duration
	}{
		{"off_cpu_min_duration", c.OffCPUMinDuration},
		{"lock_min_duration", c.LockMinDuration},
		{"syscall_slow_threshold", c.SyscallSlowThreshold},
	} {
		if k.value < 0 || k.value > maxDuration {
			fail("`%s` must be from 0 to %s, found %s", k.name, maxDuration, k.value)
		}
	}
	if _, err := procinfo.Compile(c.Targets); err != nil {
		errs = errors.Join(errs, err)
	}
	if !(c.MaxOverhead >= 0 && c.MaxOverhead <= 1) {
		fail("`max_overhead` must be from 0 to 1, found %g", c.MaxOverhead)
	}
	if c.Interval < minInterval || c.Interval > maxInterval {
		fail("`interval` must be from %s to %s, found %s", minInterval, maxInterval, c.Interval)
	}
	if c.MaxMapEntries != 0 && (c.MaxMapEntries < minMapEntries || c.MaxMapEntries > maxMapEntries) {
		fail("`max_map_entries` must be 0 or from %d to %d, found %d", minMapEntries, maxMapEntries, c.MaxMapEntries)
	}
	if c.MaxUnwindTableSize < minTables || c.MaxUnwindTableSize > maxTables {
		fail("`max_unwind_table_size` must be from %d to %d bytes, found %d", minTables, maxTables, c.MaxUnwindTableSize)
	}
	if c.SymbolCacheSize < minSymbolCache || c.SymbolCacheSize > maxSymbolCache {
		fail("`symbol_cache_size` must be from %d to %d bytes, found %d", minSymbolCache, int64(maxSymbolCache), c.SymbolCacheSize)
	}
	if len(c.AgentID) > maxAgentID {
		fail("`agent_id` must have at most %d bytes, found %d", maxAgentID, len(c.AgentID))
	}
	return errs
}

// mapEntries returns what MaxMapEntries stands for.
func (c *Config) mapEntries() int {
	if c.MaxMapEntries != 0 {
		return c.MaxMapEntries
	}
	return min(max(8192*runtime.NumCPU(), 16384), 131072)
}

func (c *Config) takes(kind string) bool { return slices.Contains(c.Profiles, kind) }
