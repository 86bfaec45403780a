package apertureapiextension

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/extension/extensiontest"
	"go.opentelemetry.io/collector/pdata/pprofile"

	"github.com/aperture-collector/aperture-collector/internal/alert"
	"github.com/aperture-collector/aperture-collector/internal/alert/profilerule"
	"github.com/aperture-collector/aperture-collector/internal/chserver"
	"github.com/aperture-collector/aperture-collector/internal/clickhousetest"
	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

const (
	benchServices  = 50
	benchFunctions = 20 // rules of a service
	benchStacks    = 2000
)

// BenchmarkAlertRules evaluates 1,000 rules on the profiles of 50 services in
// ClickHouse, each with 2,000 stacks of 30 frames and about 4,000 functions. It
// reports the processor time of the collector and that of ClickHouse for one
// evaluation. Each is 15 s after the one before, so that no answer is there already.
//
// The rules of a service share one query, or each rule has a window of its own: then
// they take turns, and all are evaluated in four evaluations.
func BenchmarkAlertRules(b *testing.B) {
	store := newClickHouseStore(b, clickhousetest.New(b, b.TempDir(), func(*chserver.Options) {}).Endpoint())
	require.NoError(b, store.Start(b.Context(), testHost{}))
	defer func() { require.NoError(b, store.Shutdown(b.Context())) }()
	reader := store.(profilestore.Store)
	require.Eventually(b, func() bool { return reader.Ready() == nil }, time.Minute, 10*time.Millisecond)
	now := time.Now()
	for service := range benchServices {
		groups, err := profile.Split(benchService(b, service, now), time.Second, profile.Limits{})
		require.NoError(b, err)
		token := profile.HashBytes([]byte{byte(service)})
		require.NoError(b, reader.Write(b.Context(), &profilestore.Window{Token: token, Groups: groups}))
	}
	b.Run("shared", func(b *testing.B) {
		benchRules(b, reader, now, 1, func(int) string { return "15m" })
	})
	windows := strings.Fields("10m 12m 15m 20m 30m 45m 1h 90m 2h 3h 4h 6h 8h 12h 18h 24h 11m 14m 19m 25m")
	b.Run("own windows", func(b *testing.B) {
		benchRules(b, reader, now, 4, func(i int) string { return windows[i/benchServices] })
	})
}

// benchRules reports the processor time of one evaluation. It takes turns of them
// until each rule is evaluated.
func benchRules(b *testing.B, reader profilestore.Reader, now time.Time, turns int, window func(i int) string) {
	b.Helper()
	a, err := newAPI(extensiontest.NewNopSettings(apiID.Type()), createDefaultConfig().(*Config))
	require.NoError(b, err)
	defer func() { require.NoError(b, a.Shutdown(b.Context())) }()
	e := &alerts{api: a, profiles: profilerule.New(profilerule.Options{Reader: func() (profilestore.Reader, error) { return reader, nil }})}
	rules := make([]alert.Rule, 0, benchServices*benchFunctions)
	for i := range benchServices * benchFunctions {
		rule, err := parseRule(fmt.Appendf(nil, `{"name":"x","metric":"function_share","function":"package3.function%d","service":"service-%d","window":%q,
			"operator":"gt","threshold":0.5,"severity":"info"}`, i/benchServices, i%benchServices, window(i)))
		require.NoError(b, err)
		rule.Tenant, rule.ID = profile.DefaultTenant, fmt.Sprint("alert-", i)
		rules = append(rules, *rule)
	}
	// From the second evaluation on the stacks are known.
	e.Evaluate(b.Context(), now.Add(time.Minute), rules)
	var own, clickHouse time.Duration
	rounds := 0
	for b.Loop() {
		evaluated := make(map[int]bool)
		for range turns {
			rounds++
			// Windows must not leave the profiles behind.
			at := now.Add(time.Minute + time.Duration(rounds%30)*15*time.Second)
			ownBefore, before := ownTime(b), childTime(b)
			results := e.Evaluate(b.Context(), at, rules)
			own, clickHouse = own+ownTime(b)-ownBefore, clickHouse+childTime(b)-before
			for i, r := range results {
				if r.Err == nil {
					evaluated[i] = true
					// Each function is in one of as many stacks as there are functions.
					require.InDelta(b, 1.0/benchFunctions, r.Value, 1e-9, i)
				}
			}
		}
		require.Len(b, evaluated, len(rules))
	}
	b.ReportMetric(float64(own.Milliseconds())/float64(rounds), "collector-cpu-ms/evaluation")
	b.ReportMetric(float64(clickHouse.Milliseconds())/float64(rounds), "clickhouse-cpu-ms/evaluation")
}

func benchService(tb testing.TB, service int, now time.Time) pprofile.Profiles {
	tb.Helper()
	const depth = 30
	b := profile.NewBuilder()
	rp := b.Profiles().ResourceProfiles().AppendEmpty()
	rp.Resource().Attributes().PutStr("service.name", fmt.Sprintf("service-%d", service))
	period := profile.ValueType{Type: "cpu", Unit: "nanoseconds"}
	p := b.AddProfile(rp.ScopeProfiles().AppendEmpty(), profile.KindCPU, profile.Types(profile.KindCPU)[0], period, 10_101_010)
	m := b.Mapping(profile.Mapping{Filename: fmt.Sprintf("/bin/service-%d", service)})
	for i := range benchStacks {
		var locations []int32
		for d := range depth {
			// The nearer to the root, which is last, the fewer functions there are.
			height := depth - 1 - d
			f := b.Function(profile.Function{Name: fmt.Sprintf("package%d.function%d", d, i*(d+7)%(1+height*height/2))})
			if d == 3 {
				f = b.Function(profile.Function{Name: fmt.Sprintf("package3.function%d", i%benchFunctions)})
			}
			locations = append(locations, b.Location(m, 0, profile.FrameNative, profile.Line{Function: f}))
		}
		s := p.Samples().AppendEmpty()
		s.SetStackIndex(b.Stack(locations))
		s.TimestampsUnixNano().Append(uint64(now.UnixNano()))
	}
	return b.Profiles()
}

// ownTime is the processor time of this process.
func ownTime(tb testing.TB) time.Duration {
	tb.Helper()
	var u syscall.Rusage
	require.NoError(tb, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// childTime is the processor time of our child, which is ClickHouse.
func childTime(tb testing.TB) time.Duration {
	tb.Helper()
	tasks, err := filepath.Glob("/proc/self/task/*/children")
	require.NoError(tb, err)
	ticks := 0
	for _, task := range tasks {
		children, err := os.ReadFile(task)
		if err != nil {
			continue // the thread has ended
		}
		for pid := range strings.FieldsSeq(string(children)) {
			stat, err := os.ReadFile(filepath.Join("/proc", pid, "stat"))
			require.NoError(tb, err)
			_, rest, ok := strings.Cut(string(stat), ") ")
			require.True(tb, ok)
			fields := strings.Fields(rest)
			for _, f := range fields[11:13] { // utime and stime, in 1/100 s
				n, err := strconv.Atoi(f)
				require.NoError(tb, err)
				ticks += n
			}
		}
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}
