package ebpfprofilingreceiver

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pprofile"

	"github.com/aperture-collector/aperture-collector/internal/ebpftest"
	"github.com/aperture-collector/aperture-collector/internal/profile"
)

// seenKinds returns the kinds of profiles by pid.
func seenKinds(all []pprofile.Profiles) map[int64]map[string]bool {
	seen := map[int64]map[string]bool{}
	for _, pd := range all {
		for _, rp := range pd.ResourceProfiles().All() {
			v, _ := rp.Resource().Attributes().Get("process.pid")
			of := seen[v.Int()]
			if of == nil {
				of = map[string]bool{}
				seen[v.Int()] = of
			}
			for _, p := range rp.ScopeProfiles().At(0).Profiles().All() {
				of[attr(pd.Dictionary(), p.AttributeIndices(), profile.AttrKind)] = true
			}
		}
	}
	return seen
}

// hasKinds reports whether there is something of all kinds.
func hasKinds[V any](by map[string]V) bool {
	return !slices.ContainsFunc(kinds, func(kind string) bool { _, ok := by[kind]; return !ok })
}

// TestTargets profiles nothing but the targets, by each way to name them.
func TestTargets(t *testing.T) {
	ebpftest.Require(t)
	// One program that has events of all kinds, as a target and as none.
	bin := ebpftest.BuildC(t, "locks.c")
	other := filepath.Join(t.TempDir(), "other")
	b, err := os.ReadFile(bin)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(other, b, 0o700))
	for name, set := range map[string]func(*testing.T, *Config) (pid int){
		"pid": func(t *testing.T, c *Config) int {
			p := ebpftest.Start(t, bin, "mutex", "4", "2000")
			c.Targets.PIDs = []int{p.PID()}
			return p.PID()
		},
		"executable": func(t *testing.T, c *Config) int {
			c.Targets.Executables = []string{filepath.Dir(bin) + "/lo*"}
			return ebpftest.Start(t, bin, "mutex", "4", "2000").PID()
		},
		"cgroup": func(t *testing.T, c *Config) int {
			dir := makeCgroup(t, "aperture-test")
			c.Targets.Cgroups = []string{"/aperture-test"}
			p := ebpftest.Start(t, "/bin/sh", "-c", fmt.Sprintf("echo $$ >%s/cgroup.procs; exec %s mutex 4 2000", dir, bin))
			awaitExec(t, p.PID(), bin)
			return p.PID()
		},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := testConfig(func(c *Config) { c.Profiles, c.OffCPUMinDuration = kinds, 100*time.Microsecond })
			pid := set(t, cfg)
			ebpftest.Start(t, other, "mutex", "4", "2000")
			s := profileHost(t, cfg)
			ebpftest.Await(t, "profiles of all kinds, and events of the other program", func() bool {
				return hasKinds(seenKinds(s.sink.AllProfiles())[int64(pid)]) && !slices.ContainsFunc(kinds, func(kind string) bool {
					return s.counter("skipped_events", "profile", kind, "reason", "filtered") == 0
				})
			})
			s.await(t, ofPID(pid), func(s *flatSample) bool {
				// What calls worker is in the C library, whose table comes last.
				i := slices.IndexFunc(s.frames, func(f flatFrame) bool { return f.name == "mutex_worker" })
				return s.kind == profile.KindCPU && i >= 0 && len(s.frames) > i+1
			})
			stacks, complete := s.counter("user_stacks", "profile", "cpu"), s.counter("user_stacks", "profile", "cpu", "end", "complete")
			ebpftest.Await(t, "stacks", func() bool { return s.counter("user_stacks", "profile", "cpu") >= stacks+100 })
			seen := seenKinds(s.stop())
			delete(seen, int64(pid))
			assert.Empty(t, seen, "no other process")
			stacks, complete = s.counter("user_stacks", "profile", "cpu")-stacks, s.counter("user_stacks", "profile", "cpu", "end", "complete")-complete
			t.Logf("%d of %d user stacks complete", complete, stacks)
			assert.GreaterOrEqual(t, float64(complete), 0.9*float64(stacks), "once it is known")
		})
	}
}

// TestExcludeSelf leaves this process out of all profiles, which it is in
// otherwise.
func TestExcludeSelf(t *testing.T) {
	ebpftest.Require(t)
	for _, exclude := range []bool{false, true} {
		s := profileHost(t, testConfig(func(c *Config) {
			c.Profiles, c.ExcludeSelf, c.LockMinDuration, c.OffCPUMinDuration = kinds, exclude, 0, 100*time.Microsecond
		}))
		var wg sync.WaitGroup
		var over atomic.Bool
		for range 4 {
			wg.Add(1)
			go func() { // busy, asleep, and waiting for others
				defer wg.Done()
				for !over.Load() {
					for range 1 << 20 {
						continue
					}
					time.Sleep(time.Millisecond)
				}
			}()
		}
		ebpftest.AwaitCPU(t, os.Getpid(), 400*time.Millisecond)
		ebpftest.Await(t, "profiles of all kinds, if any", func() bool {
			return exclude || hasKinds(seenKinds(s.sink.AllProfiles())[int64(os.Getpid())])
		})
		over.Store(true)
		wg.Wait()
		seen := seenKinds(s.stop())[int64(os.Getpid())]
		for _, kind := range kinds {
			assert.Equal(t, !exclude, seen[kind], "%s, excluded: %t", kind, exclude)
		}
	}
}
