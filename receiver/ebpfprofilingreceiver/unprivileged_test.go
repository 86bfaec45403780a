package ebpfprofilingreceiver

import (
	"encoding/json"
	"os"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/internal/ebpftest"
	"github.com/aperture-collector/aperture-collector/internal/profile"
)

// look asks a receiver what functions it has seen so far.
type look func() map[int64]map[string][]string

// runReceiver runs a receiver in a process of its own, by way of a command that
// takes rights away, while body runs.
func runReceiver(t *testing.T, mode string, required bool, body func(look), via ...string) (report childReport) {
	t.Helper()
	exe, err := os.Executable()
	require.NoError(t, err)
	via = append(via, copyForAll(t, exe))
	cmd := exec.Command(via[0], via[1:]...)
	cmd.Env = append(os.Environ(), childEnv+"="+mode)
	if required {
		cmd.Env = append(cmd.Env, childEnv+"_REQUIRED=1")
	}
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	dec := json.NewDecoder(out)
	var started string
	require.NoError(t, dec.Decode(&started))
	body(func() (seen map[int64]map[string][]string) {
		_, err := in.Write([]byte{'\n'})
		require.NoError(t, err)
		require.NoError(t, dec.Decode(&seen))
		return seen
	})
	require.NoError(t, in.Close())
	require.NoError(t, dec.Decode(&report))
	require.NoError(t, cmd.Wait())
	return report
}

// setpriv returns the command that makes a process an ordinary user's with these
// capabilities.
func setpriv(t *testing.T, caps string) []string {
	t.Helper()
	path := find(t, "setpriv")
	requireRoot(t)
	return []string{
		path, "--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs",
		"--inh-caps=" + caps, "--ambient-caps=" + caps, "--bounding-set=" + caps,
	}
}

// copyForAll copies a program to where every user may run it.
func copyForAll(t *testing.T, exe string) string {
	t.Helper()
	b, err := os.ReadFile(exe)
	require.NoError(t, err)
	dir, err := os.MkdirTemp("/tmp", "aperture-test-")
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	require.NoError(t, os.Chmod(dir, 0o755))
	path := dir + "/program"
	require.NoError(t, os.WriteFile(path, b, 0o755))
	return path
}

// TestUnprivileged runs as an ordinary user: one clear line, no failure unless the
// profiles are required.
func TestUnprivileged(t *testing.T) {
	const why = "loading the profiler needs root or CAP_BPF and CAP_PERFMON, missing: CAP_BPF, CAP_PERFMON: operation not permitted"
	got := runReceiver(t, "plain", false, func(look) {}, setpriv(t, "-all")...)
	assert.Empty(t, got.Start)
	assert.Len(t, got.Logs, 1)
	assert.True(t, anyHas(got.Logs, "warn", "eBPF profiling of this host is off", why, "reason:missing_capability"), got.Logs)
	assert.True(t, anyHas(got.Statuses, "StatusRecoverableError", why), got.Statuses)
	for _, kind := range kinds {
		assert.Equal(t, "missing_capability", got.Active[kind], kind)
	}
	got = runReceiver(t, "plain", true, func(look) {}, setpriv(t, "-all")...)
	assert.Equal(t, "start profiles: "+why, got.Start)
}

// named reports whether the profiles of a process know its function.
func named(by map[string][]string) bool {
	return anyHas(by[profile.KindCPU], "mutex_worker") && anyHas(by[profile.KindLock], "mutex_worker")
}

// TestCapabilities runs as an ordinary user with the capabilities that are needed,
// and with those that names need, too.
func TestCapabilities(t *testing.T) {
	ebpftest.Require(t)
	foreign := ebpftest.BuildC(t, "locks.c")
	own := copyForAll(t, foreign)
	for _, c := range []struct {
		caps  string
		names bool
	}{
		{"-all,+bpf,+perfmon", false},
		{"-all,+bpf,+perfmon,+syslog,+sys_ptrace", true},
	} {
		t.Run(c.caps, func(t *testing.T) {
			via := setpriv(t, c.caps)
			var pids [2]int64
			got := runReceiver(t, "plain", true, func(look look) {
				user := setpriv(t, "-all")
				p := ebpftest.Start(t, foreign, "mutex", "4", "2000")
				q := ebpftest.Start(t, user[0], append(user[1:], own, "mutex", "4", "2000")...)
				pids = [2]int64{int64(p.PID()), int64(q.PID())}
				ebpftest.Await(t, "profiles of all kinds with the names there are", func() bool {
					seen := look()
					return hasKinds(seen[pids[0]]) && hasKinds(seen[pids[1]]) &&
						named(seen[pids[1]]) && (!c.names || named(seen[pids[0]]))
				})
				p.Stop()
				q.Stop()
			}, via...)
			assert.Empty(t, got.Start)
			for _, kind := range kinds {
				assert.Empty(t, got.Active[kind], kind)
			}
			for i, pid := range pids {
				for _, kind := range kinds {
					assert.Contains(t, got.Functions[pid], kind)
				}
				want := c.names || i == 1
				for _, kind := range []string{profile.KindCPU, profile.KindLock} {
					assert.Equal(t, want, anyHas(got.Functions[pid][kind], "mutex_worker"), "process %d, %s: %v", i, kind, got.Functions[pid][kind])
				}
			}
			assert.Equal(t, !c.names, anyHas(got.Logs, "kernel functions have no names"), got.Logs)
			assert.Equal(t, !c.names, anyHas(got.Logs, "CAP_SYS_PTRACE is missing"), got.Logs)
		})
	}
}

// TestRefusal runs where the kernel refuses what one profile needs: the others
// run.
func TestRefusal(t *testing.T) {
	ebpftest.Require(t)
	bin := ebpftest.BuildC(t, "locks.c")
	var pid int64
	got := runReceiver(t, "seccomp", false, func(look look) {
		p := ebpftest.Start(t, bin, "mutex", "4", "2000")
		pid = int64(p.PID())
		ebpftest.Await(t, "profiles of the other kinds", func() bool {
			seen := look()[pid]
			return seen[profile.KindOffCPU] != nil && seen[profile.KindSyscall] != nil
		})
		p.Stop()
	})
	assert.Empty(t, got.Start)
	const why = "starting the CPU profile is not permitted here although the capabilities are there"
	assert.True(t, anyHas(got.Logs, "warn", "eBPF profiles [cpu] of this host are off", why, "reason:refused"), got.Logs)
	assert.True(t, anyHas(got.Statuses, "StatusRecoverableError", "eBPF profiles [cpu] of this host are off", why), got.Statuses)
	// User locks are followed by performance events, too.
	assert.Equal(t, map[string]string{"cpu": "refused", "off_cpu": "", "lock": "without refused", "syscall": ""}, got.Active)
	assert.NotContains(t, got.Functions[pid], profile.KindCPU)
	assert.Contains(t, got.Functions[pid], profile.KindOffCPU)
	assert.Contains(t, got.Functions[pid], profile.KindSyscall)
	const half = "start all of the lock profile: starting the profile of user locks is not permitted"
	assert.True(t, anyHas(got.Logs, "warn", half), got.Logs)
	assert.True(t, anyHas(got.Statuses, "StatusRecoverableError", half), got.Statuses)
}
