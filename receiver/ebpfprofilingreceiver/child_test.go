package ebpfprofilingreceiver

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"unsafe"

	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/pprofile"
	"go.opentelemetry.io/collector/receiver/receivertest"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
	"golang.org/x/sys/unix"

	"github.com/aperture-collector/aperture-collector/receiver/ebpfprofilingreceiver/internal/metadata"
)

// childEnv makes this test binary run a receiver in a process with fewer rights,
// until its standard input ends. A line makes it say what functions it has seen so far.
// Its value is "plain", or "seccomp" for one that
// may not open performance events, as in most containers.
const childEnv = "APERTURE_TEST_RECEIVER"

// childReport is what the process prints in the end.
type childReport struct {
	Start    string            // the error
	Logs     []string          // messages and fields
	Statuses []string          // of the component
	Active   map[string]string // reason by kind, "" if it runs
	// Functions are those in the profiles of each kind of each process.
	Functions map[int64]map[string][]string
}

// runUnprivileged does not return in such a process.
func runUnprivileged() {
	mode := os.Getenv(childEnv)
	if mode == "" {
		return
	}
	if mode == "seccomp" {
		if err := refusePerfEvents(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	if err := json.NewEncoder(os.Stdout).Encode(runChild(os.Getenv(childEnv+"_REQUIRED") != "")); err != nil {
		os.Exit(1)
	}
	os.Exit(0)
}

func runChild(required bool) (report childReport) {
	core, logs := observer.New(zapcore.InfoLevel)
	tel := componenttest.NewTelemetry()
	set := receivertest.NewNopSettings(metadata.Type)
	set.TelemetrySettings, set.Logger = tel.NewTelemetrySettings(), zap.New(core)
	host := &statusHost{Host: componenttest.NewNopHost()}
	sink := new(consumertest.ProfilesSink)
	cfg := testConfig(func(c *Config) { c.Profiles, c.Required, c.ExcludeSelf = kinds, required, true })
	r, err := newReceiver(cfg, set, sink)
	if err == nil {
		err = r.Start(context.Background(), host)
	}
	if err != nil {
		report.Start = err.Error()
	}
	fmt.Println(`"started"`)
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		if err := json.NewEncoder(os.Stdout).Encode(functions(sink.AllProfiles())); err != nil {
			return report // the test has ended
		}
	}
	report.Active = activeKinds(tel)
	if err := r.Shutdown(context.Background()); err != nil {
		report.Start += err.Error()
	}
	for _, e := range logs.All() {
		report.Logs = append(report.Logs, fmt.Sprint(e.Level, " ", e.Message, " ", e.ContextMap()))
	}
	for _, e := range host.events {
		report.Statuses = append(report.Statuses, fmt.Sprint(e.Status(), ": ", e.Err()))
	}
	report.Functions = functions(sink.AllProfiles())
	return report
}

// activeKinds returns, by kind, why it does not run: empty if it does, "without "
// and the reason if it runs without a part.
func activeKinds(tel *componenttest.Telemetry) map[string]string {
	active, runs := map[string]string{}, map[string]bool{}
	m, err := tel.GetMetric("otelcol_receiver_ebpf_profiling_active")
	if err != nil {
		return active
	}
	for _, p := range m.Data.(metricdata.Gauge[int64]).DataPoints {
		kind, _ := p.Attributes.Value("profile")
		reason, _ := p.Attributes.Value("reason")
		if (p.Value == 1) != (reason.AsString() == "") {
			active[kind.AsString()] = fmt.Sprint(p.Value, " ", reason.AsString())
			return active
		}
		if p.Value == 1 {
			runs[kind.AsString()] = true
		}
		active[kind.AsString()] += reason.AsString()
	}
	for kind, reason := range active {
		if runs[kind] && reason != "" {
			active[kind] = "without " + reason
		}
	}
	return active
}

// functions returns the names in profiles, by process and kind.
func functions(all []pprofile.Profiles) map[int64]map[string][]string {
	found := map[int64]map[string][]string{}
	for pid := range seenKinds(all) {
		names := map[string]map[string]bool{}
		for _, s := range flatten(all, ofPID(int(pid))) {
			if names[s.kind] == nil {
				names[s.kind] = map[string]bool{}
			}
			for _, f := range s.user() {
				names[s.kind][f.name] = true
			}
		}
		found[pid] = map[string][]string{}
		for kind, set := range names {
			found[pid][kind] = slices.Sorted(maps.Keys(set))
		}
	}
	return found
}

// refusePerfEvents makes the kernel refuse perf_event_open in all threads of this
// process, as the default seccomp profile of container runtimes does.
func refusePerfEvents() error {
	load := unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0} // seccomp_data.nr
	is := unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: 1, K: unix.SYS_PERF_EVENT_OPEN}
	refuse := unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: 0x00050000 | uint32(unix.EPERM)} // SECCOMP_RET_ERRNO
	allow := unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: 0x7fff0000}
	program := []unix.SockFilter{load, is, refuse, allow}
	prog := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("set no new privileges: %w", err)
	}
	const setModeFilter, tsync = 1, 1
	if _, _, errno := unix.Syscall(unix.SYS_SECCOMP, setModeFilter, tsync, uintptr(unsafe.Pointer(&prog))); errno != 0 {
		return fmt.Errorf("set seccomp filter: %w", errno)
	}
	return nil
}

// anyHas reports whether one of the texts has all parts.
func anyHas(texts []string, parts ...string) bool {
	return slices.ContainsFunc(texts, func(text string) bool {
		for _, p := range parts {
			if !strings.Contains(text, p) {
				return false
			}
		}
		return true
	})
}
