package ebpfprofilingreceiver

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/internal/ebpftest"
	"github.com/aperture-collector/aperture-collector/internal/profile"
)

// TestCPU profiles programs of known functions, two at a time: one receiver sees
// all of them, as it does on a host.
func TestCPU(t *testing.T) {
	ebpftest.Require(t)
	s := profileHost(t, testConfig(func(c *Config) {
		c.SamplingFrequency, c.Tenant, c.AgentID = 997, "team-a", "host-1"
	}))
	t.Run("programs", func(t *testing.T) {
		testNative(t, s)
		for name, test := range map[string]func(*testing.T, *session){
			"go": testGo, "python": testPython, "node": testNode, "kernel": testKernelFrames,
			"stripped go":     func(t *testing.T, s *session) { testStrippedGo(t, s) },
			"stripped go pie": func(t *testing.T, s *session) { testStrippedGo(t, s, "-buildmode=pie") },
		} {
			t.Run(name, func(t *testing.T) { t.Parallel(); test(t, s) })
		}
	})
	all := s.stop()
	var sum int64
	for _, x := range flatten(all, everything) {
		sum += x.sum
	}
	lost := s.counter("lost_samples")
	assert.Equal(t, s.counter("samples"), sum+lost, "all samples that were taken were emitted")
	s.checkLost()
	stacks, complete := s.counter("user_stacks"), s.counter("user_stacks", "end", "complete")
	t.Logf("samples %d; %d of %d user stacks complete; BPF %d ns in %d runs", sum, complete, stacks,
		s.counter("bpf_time"), s.counter("bpf_runs"))
	for _, end := range []string{
		"truncated", "no_process", "no_mapping", "no_table", "no_row", "unsupported", "read_error", "stuck", "frame_pointers",
	} {
		t.Logf("%s: %d", end, s.counter("user_stacks", "end", end))
	}
}

// testKernelFrames finds a system call under the function of the kernel that
// serves it, before the frames of the process.
func testKernelFrames(t *testing.T, s *session) {
	cmd := exec.Command(find(t, "dd"), "if=/dev/zero", "of=/dev/null", "bs=1M", "count=40000", "status=none")
	require.NoError(t, cmd.Run())
	s.settle(t)
	samples := flatten(s.sink.AllProfiles(), ofPID(cmd.Process.Pid))
	require.NotEmpty(t, samples)
	inKernel, named := int64(0), int64(0)
	for _, x := range samples {
		user := false
		for i, f := range x.frames {
			if f.kind != profile.FrameKernel {
				user = true
				continue
			}
			require.False(t, user, "kernel frames come first")
			assert.True(t, strings.HasPrefix(f.mapping, "["), f.mapping)
			if i == 0 {
				inKernel += x.sum
				if f.name != "" {
					named += x.sum
				}
			}
		}
	}
	require.Positive(t, inKernel)
	if os.Geteuid() == 0 {
		assert.Equal(t, inKernel, named)
	}
}
