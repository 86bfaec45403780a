package ebpfprofilingreceiver

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
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
			awaitCPU(t, pid, cpuTime(pid)+400*time.Millisecond)
			seen := seenKinds(s.stop())
			for _, kind := range kinds {
				assert.True(t, seen[int64(pid)][kind], kind)
				assert.Positive(t, s.counter("skipped_events", "profile", kind, "reason", "filtered"), kind)
			}
			delete(seen, int64(pid))
			assert.Empty(t, seen, "no other process")
			stacks, complete := s.counter("user_stacks", "profile", "cpu"), s.counter("user_stacks", "profile", "cpu", "end", "complete")
			t.Logf("%d of %d user stacks complete", complete, stacks)
			assert.GreaterOrEqual(t, float64(complete), 0.85*float64(stacks), "what the first samples need is built while they are taken")
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
		for range 4 {
			wg.Add(1)
			go func() { // busy, asleep, and waiting for others
				defer wg.Done()
				for end := time.Now().Add(400 * time.Millisecond); time.Now().Before(end); {
					for range 1 << 20 {
						continue
					}
					time.Sleep(time.Millisecond)
				}
			}()
		}
		wg.Wait()
		seen := seenKinds(s.stop())[int64(os.Getpid())]
		for _, kind := range kinds {
			assert.Equal(t, !exclude, seen[kind], "%s, excluded: %t", kind, exclude)
		}
	}
}
