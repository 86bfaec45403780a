package ebpfprofilingreceiver

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pprofile"
	"go.opentelemetry.io/collector/receiver/receivertest"
	"go.opentelemetry.io/collector/receiver/xreceiver"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/aperture-collector/aperture-collector/internal/ebpftest"
	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/receiver/ebpfprofilingreceiver/internal/metadata"
)

func init() {
	ebpftest.RunWorkload()
	runUnprivileged()
}

// run profiles the host until stop is called, which returns what was emitted.
func run(t *testing.T, cfg *Config) (stop func() []pprofile.Profiles, tel *componenttest.Telemetry) {
	t.Helper()
	tel = componenttest.NewTelemetry()
	t.Cleanup(func() { require.NoError(t, tel.Shutdown(context.Background())) })
	set := receivertest.NewNopSettings(metadata.Type)
	set.TelemetrySettings = tel.NewTelemetrySettings()
	sink := new(consumertest.ProfilesSink)
	r, err := newReceiver(cfg, set, sink)
	require.NoError(t, err)
	require.NoError(t, r.Start(context.Background(), componenttest.NewNopHost()))
	stopped := false
	stop = func() []pprofile.Profiles {
		if !stopped {
			stopped = true
			require.NoError(t, r.Shutdown(context.Background()))
		}
		return sink.AllProfiles()
	}
	t.Cleanup(func() { stop() })
	return stop, tel
}

func testConfig(mutate ...func(*Config)) *Config {
	cfg := createDefaultConfig().(*Config)
	cfg.Interval = time.Second
	cfg.SamplingFrequency = 499
	cfg.Profiles = []string{profile.KindCPU}
	cfg.MaxOverhead = 0 // a loaded machine must not change the rate
	cfg.Required = true
	for _, m := range mutate {
		m(cfg)
	}
	return cfg
}

// flatFrame is a frame as a reader of the profile sees it.
type flatFrame struct {
	name, mapping, buildID, kind, file string
	address                            uint64
	line                               int64
	inlined                            bool // into the next frame
}

type flatSample struct {
	frames []flatFrame // leaf first
	thread string
	count  int64
}

func attr(dict pprofile.ProfilesDictionary, indices pcommon.Int32Slice, key string) string {
	for _, i := range indices.All() {
		a := dict.AttributeTable().At(int(i))
		if dict.StringTable().At(int(a.KeyStrindex())) == key {
			return a.Value().AsString()
		}
	}
	return ""
}

// flatten reads all samples of resources that accept returns true for.
func flatten(all []pprofile.Profiles, accept func(pcommon.Map) bool) (out []flatSample) {
	for _, pd := range all {
		dict := pd.Dictionary()
		str := func(i int32) string { return dict.StringTable().At(int(i)) }
		for _, rp := range pd.ResourceProfiles().All() {
			if !accept(rp.Resource().Attributes()) {
				continue
			}
			for _, s := range rp.ScopeProfiles().At(0).Profiles().At(0).Samples().All() {
				f := flatSample{thread: attr(dict, s.AttributeIndices(), profile.AttrThreadName), count: s.Values().At(0)}
				for _, l := range dict.StackTable().At(int(s.StackIndex())).LocationIndices().All() {
					loc := dict.LocationTable().At(int(l))
					m := dict.MappingTable().At(int(loc.MappingIndex()))
					ff := flatFrame{
						address: loc.Address(), mapping: str(m.FilenameStrindex()),
						buildID: attr(dict, m.AttributeIndices(), profile.AttrBuildIDGNU) +
							attr(dict, m.AttributeIndices(), profile.AttrBuildIDGo),
						kind: attr(dict, loc.AttributeIndices(), profile.AttrFrameType),
					}
					for i, line := range loc.Lines().All() {
						fn := dict.FunctionTable().At(int(line.FunctionIndex()))
						ff.name, ff.file, ff.line = str(fn.NameStrindex()), str(fn.FilenameStrindex()), line.Line()
						ff.inlined = i < loc.Lines().Len()-1
						f.frames = append(f.frames, ff)
					}
					if loc.Lines().Len() == 0 {
						f.frames = append(f.frames, ff)
					}
				}
				out = append(out, f)
			}
		}
	}
	return out
}

func ofPID(pid int) func(pcommon.Map) bool {
	return func(m pcommon.Map) bool {
		v, _ := m.Get("process.pid")
		return v.Int() == int64(pid)
	}
}

// leafShares returns the part of samples by innermost function of the process
// that was not inlined.
func leafShares(samples []flatSample) (shares map[string]float64, total float64) {
	shares = map[string]float64{}
	for _, s := range samples {
		total += float64(s.count)
		for _, f := range s.frames {
			if f.kind != profile.FrameKernel && !f.inlined {
				shares[f.name] += float64(s.count)
				break
			}
		}
	}
	for name := range shares {
		shares[name] /= total
	}
	return shares, total
}

// TestGoWorkload is the receiver end to end: a Go program of known functions.
func TestGoWorkload(t *testing.T) {
	ebpftest.Require(t)
	cfg := testConfig(func(c *Config) { c.Tenant, c.AgentID = "team-a", "host-1" })
	stop, tel := run(t, cfg)
	busy := ebpftest.StartBusy(t, 2)
	time.Sleep(4 * time.Second)
	report := busy.Stop()
	all := stop()
	require.GreaterOrEqual(t, len(all), 4)

	samples := flatten(all, ofPID(busy.PID()))
	shares, total := leafShares(samples)
	for _, want := range ebpftest.BusyShares {
		assert.InDelta(t, want.Part, shares[want.Function], 0.05, want.Function)
	}
	assert.InEpsilon(t, report.CPUSeconds*float64(cfg.SamplingFrequency), total, 0.05, "samples agree with CPU time")
	callers := 0.0
	for _, s := range samples {
		for i, f := range s.frames {
			if f.name == ebpftest.BusyShares[0].Function {
				require.Greater(t, len(s.frames), i+2)
				if s.frames[i+1].name == ebpftest.BusyCaller {
					callers += float64(s.count)
				}
				assert.Equal(t, profile.FrameGo, f.kind)
				assert.NotEmpty(t, f.buildID)
				assert.True(t, strings.HasSuffix(f.file, "/workload.go"), f.file)
				assert.Equal(t, "runtime.goexit", s.frames[len(s.frames)-1].name)
				break
			}
		}
	}
	assert.InDelta(t, shares[ebpftest.BusyShares[0].Function], callers/total, 0.01, "with their caller")
	checkBatches(t, all, busy.PID())
	checkTelemetry(t, tel, all)
}

func checkBatches(t *testing.T, all []pprofile.Profiles, pid int) {
	t.Helper()
	exe, err := os.Executable()
	require.NoError(t, err)
	found := false
	for i, pd := range all {
		var events, sum int64
		pids := map[string]bool{}
		for _, rp := range pd.ResourceProfiles().All() {
			attrs := rp.Resource().Attributes()
			get := func(key string) any {
				v, _ := attrs.Get(key)
				return v.AsRaw()
			}
			events = get(profile.AttrBatchEventCount).(int64)
			assert.EqualValues(t, i+1, get(profile.AttrBatchSequence))
			assert.Equal(t, "team-a", get(profile.AttrTenant))
			assert.Equal(t, "host-1", get(profile.AttrAgentID))
			assert.NotEmpty(t, get("service.name"))
			require.Equal(t, 1, rp.ScopeProfiles().Len())
			require.Equal(t, 1, rp.ScopeProfiles().At(0).Profiles().Len())
			p := rp.ScopeProfiles().At(0).Profiles().At(0)
			assert.EqualValues(t, 1_000_000_000/499, p.Period())
			assert.Equal(t, profile.KindCPU, attr(pd.Dictionary(), p.AttributeIndices(), profile.AttrKind))
			assert.Positive(t, p.DurationNano())
			end := p.Time().AsTime().Add(time.Duration(p.DurationNano()))
			assert.Equal(t, end.UnixNano(), get(profile.AttrBatchReceivedAt))
			for _, s := range p.Samples().All() {
				sum += s.Values().At(0)
				require.Equal(t, 1, s.Values().Len())
				require.Zero(t, s.TimestampsUnixNano().Len())
			}
			id := fmt.Sprint(get("process.pid"))
			pids[id] = true
			if id == fmt.Sprint(pid) && get("process.executable.path") == exe {
				found = true
				assert.Equal(t, "ebpftest-busy", get("service.name"))
				assert.Equal(t, exe, get("process.command"))
				assert.True(t, strings.HasSuffix(exe, "/"+get("process.executable.name").(string)))
			}
		}
		assert.Equal(t, events, sum, "the batch says how many samples it has")
	}
	assert.True(t, found)
}

func checkTelemetry(t *testing.T, tel *componenttest.Telemetry, all []pprofile.Profiles) {
	t.Helper()
	var sum int64
	for _, s := range flatten(all, func(pcommon.Map) bool { return true }) {
		sum += s.count
	}
	taken := counter(t, tel, "otelcol_receiver_ebpf_profiling_samples")
	lost := counter(t, tel, "otelcol_receiver_ebpf_profiling_lost_samples")
	expected := counter(t, tel, "otelcol_receiver_ebpf_profiling_expected_samples")
	assert.Equal(t, taken, sum, "all samples that were taken were emitted")
	assert.Zero(t, lost)
	// The kernel's own accounting goes by its tick of a few milliseconds, which
	// misses much of what many short processes do. The time of one process, which
	// TestGoWorkload compares with, is exact.
	assert.InEpsilon(t, expected, taken, 0.3)
	assert.Positive(t, counter(t, tel, "otelcol_receiver_ebpf_profiling_bpf_time"))
	t.Logf("samples %d, lost %d, expected %d; BPF %d ns in %d runs", taken, lost, expected,
		counter(t, tel, "otelcol_receiver_ebpf_profiling_bpf_time"), counter(t, tel, "otelcol_receiver_ebpf_profiling_bpf_runs"))
}

// TestKernelFrames finds a system call under the function of the kernel that
// serves it, before the frames of the process.
func TestKernelFrames(t *testing.T) {
	ebpftest.Require(t)
	stop, _ := run(t, testConfig())
	cmd := exec.Command("dd", "if=/dev/zero", "of=/dev/null", "bs=1M", "count=40000", "status=none")
	require.NoError(t, cmd.Run())
	samples := flatten(stop(), ofPID(cmd.Process.Pid))
	require.NotEmpty(t, samples)
	inKernel, named := int64(0), int64(0)
	for _, s := range samples {
		user := false
		for i, f := range s.frames {
			if f.kind != profile.FrameKernel {
				user = true
				continue
			}
			require.False(t, user, "kernel frames come first")
			assert.True(t, strings.HasPrefix(f.mapping, "["), f.mapping)
			if i == 0 {
				inKernel += s.count
				if f.name != "" {
					named += s.count
				}
			}
		}
	}
	require.Positive(t, inKernel)
	if os.Geteuid() == 0 {
		assert.Equal(t, inKernel, named)
	}
}

// TestCWorkload names the functions of a C program with frame pointers.
func TestCWorkload(t *testing.T) {
	ebpftest.Require(t)
	gcc, err := exec.LookPath("gcc")
	if err != nil {
		t.Skip("no gcc")
	}
	bin := t.TempDir() + "/burn"
	build := exec.Command(gcc, "-O1", "-fno-omit-frame-pointer", "-o", bin, "testdata/burn.c")
	out, err := build.CombinedOutput()
	require.NoError(t, err, string(out))
	stop, _ := run(t, testConfig())
	cmd := exec.Command(bin, "2")
	require.NoError(t, cmd.Run())
	// The process has ended: its samples are named all the same.
	samples := flatten(stop(), ofPID(cmd.Process.Pid))
	shares, total := leafShares(samples)
	assert.InEpsilon(t, 499*cmd.ProcessState.UserTime().Seconds(), total, 0.1)
	assert.InDelta(t, 0.7, shares["burn_long"], 0.05)
	assert.InDelta(t, 0.3, shares["burn_short"], 0.05)
	for _, s := range samples {
		for _, f := range s.frames {
			if f.name == "burn_long" {
				assert.NotEmpty(t, f.buildID)
				assert.Less(t, f.address, uint64(1<<32), "the address is that of the file")
			}
		}
	}
}

func TestExcludeSelf(t *testing.T) {
	ebpftest.Require(t)
	stop, _ := run(t, testConfig(func(c *Config) { c.ExcludeSelf = true }))
	for end := time.Now().Add(300 * time.Millisecond); time.Now().Before(end); {
		continue
	}
	assert.Empty(t, flatten(stop(), ofPID(os.Getpid())))
}

const unprivilegedEnv = "APERTURE_TEST_UNPRIVILEGED"

// runUnprivileged starts the receiver in a process that was started without
// rights, and prints what it logs.
func runUnprivileged() {
	if os.Getenv(unprivilegedEnv) == "" {
		return
	}
	core, logs := observer.New(zapcore.DebugLevel)
	set := receivertest.NewNopSettings(metadata.Type)
	set.Logger = zap.New(core)
	for _, required := range []bool{false, true} {
		cfg := testConfig(func(c *Config) { c.Required = required })
		r, err := newReceiver(cfg, set, new(consumertest.ProfilesSink))
		if err == nil {
			err = r.Start(context.Background(), componenttest.NewNopHost())
		}
		fmt.Printf("required=%v start=%v\n", required, err)
		if r != nil {
			fmt.Println("shutdown", r.Shutdown(context.Background()))
		}
	}
	for _, e := range logs.All() {
		fmt.Println("log", e.Level, e.Message, e.ContextMap())
	}
	os.Exit(0)
}

// TestUnprivileged runs as an ordinary user: one clear line, no failure.
func TestUnprivileged(t *testing.T) {
	setpriv, err := exec.LookPath("setpriv")
	if err != nil || os.Geteuid() != 0 {
		t.Skip("needs root and setpriv")
	}
	exe, err := os.Executable()
	require.NoError(t, err)
	copied := copyForAll(t, exe)
	cmd := exec.Command(setpriv, "--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs", "--bounding-set=-all", copied)
	cmd.Env = append(os.Environ(), unprivilegedEnv+"=1")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	const why = "loading the profiler needs root or CAP_BPF and CAP_PERFMON, missing: CAP_BPF, CAP_PERFMON: operation not permitted"
	assert.Equal(t, "required=false start=<nil>\nshutdown <nil>\n"+
		"required=true start=start profiles: "+why+"\nshutdown <nil>\n"+
		"log warn eBPF profiling of this host is off map[error:"+why+" reason:missing_capability]\n", string(out))
}

// TestCapabilities runs as an ordinary user with the two capabilities that are
// needed.
func TestCapabilities(t *testing.T) {
	ebpftest.Require(t)
	setpriv, err := exec.LookPath("setpriv")
	if err != nil || os.Geteuid() != 0 {
		t.Skip("needs root and setpriv")
	}
	exe, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command(setpriv, "--reuid=65534", "--regid=65534", "--clear-groups",
		"--inh-caps=-all,+bpf,+perfmon", "--ambient-caps=-all,+bpf,+perfmon", "--bounding-set=-all,+bpf,+perfmon", copyForAll(t, exe))
	cmd.Env = append(os.Environ(), unprivilegedEnv+"=1")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	assert.Contains(t, string(out), "required=true start=<nil>")
	assert.Contains(t, string(out), "kernel functions have no names")
	assert.Contains(t, string(out), "CAP_SYS_PTRACE is missing")
}

// copyForAll copies a program to where every user may run it.
func copyForAll(t *testing.T, exe string) string {
	b, err := os.ReadFile(exe)
	require.NoError(t, err)
	dir, err := os.MkdirTemp("/tmp", "aperture-test-")
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	require.NoError(t, os.Chmod(dir, 0o755))
	path := dir + "/receiver.test"
	require.NoError(t, os.WriteFile(path, b, 0o755))
	return path
}

// TestZSummary is the last test and prints what was tested for real.
func TestZSummary(*testing.T) { fmt.Println(ebpftest.Summary()) }

// stuckSink takes nothing until its context ends.
type stuckSink struct{ consumertest.Consumer }

func (stuckSink) ConsumeProfiles(ctx context.Context, _ pprofile.Profiles) error {
	<-ctx.Done()
	return context.Cause(ctx)
}

// TestShutdownOfAStuckPipeline ends although the pipeline does not take the last
// batch.
func TestShutdownOfAStuckPipeline(t *testing.T) {
	ebpftest.Require(t)
	cfg := testConfig()
	r, err := NewFactory().(xreceiver.Factory).CreateProfiles(t.Context(), receivertest.NewNopSettings(metadata.Type), cfg, stuckSink{consumertest.NewNop()})
	require.NoError(t, err)
	require.NoError(t, r.Start(t.Context(), componenttest.NewNopHost()))
	ebpftest.StartBusy(t, 1)
	time.Sleep(2 * cfg.Interval)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	require.NoError(t, r.Shutdown(ctx))
}
