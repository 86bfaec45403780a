package ebpfprofilingreceiver

import (
	"context"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pprofile"
	"go.opentelemetry.io/collector/receiver/receivertest"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
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

// testConfig takes the CPU profile often, and needs it to run.
func testConfig(mutate ...func(*Config)) *Config {
	cfg := createDefaultConfig().(*Config)
	cfg.Interval = 100 * time.Millisecond
	cfg.SamplingFrequency = 499
	cfg.Profiles = []string{profile.KindCPU}
	cfg.MaxOverhead = 0 // a loaded machine must not change the rate
	cfg.Required = true
	for _, m := range mutate {
		m(cfg)
	}
	return cfg
}

// statusHost is a host that is told of the states of components.
type statusHost struct {
	component.Host
	mu     sync.Mutex
	events []*componentstatus.Event
}

func (h *statusHost) Report(e *componentstatus.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.events = append(h.events, e)
}

// session is a receiver that profiles this host, and what it says.
type session struct {
	t        *testing.T
	receiver *ebpfReceiver
	host     *statusHost
	sink     *consumertest.ProfilesSink
	logs     *observer.ObservedLogs
	tel      *componenttest.Telemetry
	once     sync.Once
}

// profileHost starts a receiver, which stops with the test at the latest.
func profileHost(t *testing.T, cfg *Config) *session {
	t.Helper()
	core, logs := observer.New(zapcore.DebugLevel)
	s := &session{
		t: t, sink: new(consumertest.ProfilesSink), logs: logs, tel: componenttest.NewTelemetry(),
		host: &statusHost{Host: componenttest.NewNopHost()},
	}
	t.Cleanup(func() { require.NoError(t, s.tel.Shutdown(context.Background())) })
	set := receivertest.NewNopSettings(metadata.Type)
	set.TelemetrySettings = s.tel.NewTelemetrySettings()
	set.Logger = zap.New(core)
	var err error
	s.receiver, err = newReceiver(cfg, set, s.sink)
	require.NoError(t, err)
	require.NoError(t, s.receiver.Start(context.Background(), s.host))
	t.Cleanup(func() { s.stop() })
	return s
}

// stop ends the profile and returns what was emitted.
func (s *session) stop() []pprofile.Profiles {
	s.once.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), ebpftest.Patience)
		defer cancel()
		require.NoError(s.t, s.receiver.Shutdown(ctx))
		for _, e := range s.logs.FilterLevelExact(zapcore.ErrorLevel).All() {
			s.t.Error(e.Message, e.ContextMap())
		}
	})
	return s.sink.AllProfiles()
}

// settle waits until all that has happened so far was emitted and returns the
// number of batches that have it.
func (s *session) settle(t *testing.T) int {
	t.Helper()
	n := len(s.sink.AllProfiles()) + 2 // the current batch may have begun before
	ebpftest.Await(t, "further batch", func() bool { return len(s.sink.AllProfiles()) >= n })
	return n
}

// await waits until a sample satisfies known, for which the receiver must have built
// what its stack needs, and returns the number of batches that may be of before.
func (s *session) await(t *testing.T, of func(pcommon.Map) bool, known matches) int {
	t.Helper()
	from := 0
	ebpftest.Await(t, "sample as of a known program", func() bool {
		all := s.sink.AllProfiles()
		n, _ := sumOf(flatten(all[from:], of), known)
		from = max(0, len(all)-1)
		return n > 0
	})
	return s.settle(t)
}

// counter returns the sum of a counter of the receiver over the attribute sets
// that have all of kv (keys and values).
func (s *session) counter(name string, kv ...string) (sum int64) {
	s.t.Helper()
	return counter(s.t, s.tel, name, kv...)
}

// checkLost requires that hardly anything was lost, of all programs of the host. There
// may be many that come and go. Stacks that found the ring full are the machine's
// doing: nobody had a processor to read it. Their samples are counted, and known by
// nothing else.
func (s *session) checkLost() {
	s.t.Helper()
	lost := s.counter("lost_samples")
	if s.counter("ring_full") > 0 {
		lost -= s.counter("lost_samples", "reason", "stack_unknown")
	}
	assert.LessOrEqual(s.t, float64(lost), 1e-4*float64(s.counter("samples")))
}

var documentation = sync.OnceValue(func() string {
	b, _ := os.ReadFile("documentation.md")
	return string(b)
})

func counter(t *testing.T, tel *componenttest.Telemetry, name string, kv ...string) (sum int64) {
	t.Helper()
	name = "otelcol_receiver_ebpf_profiling_" + name
	m, err := tel.GetMetric(name)
	if err != nil { // there is none before the first event
		require.Contains(t, documentation(), "### "+name+"\n")
		return 0
	}
	var points []metricdata.DataPoint[int64]
	switch data := m.Data.(type) {
	case metricdata.Sum[int64]:
		points = data.DataPoints
	case metricdata.Gauge[int64]:
		points = data.DataPoints
	}
	for _, p := range points {
		has := true
		for i := 0; i < len(kv); i += 2 {
			v, _ := p.Attributes.Value(attribute.Key(kv[i]))
			has = has && v.AsString() == kv[i+1]
		}
		if has {
			sum += p.Value
		}
	}
	return sum
}
