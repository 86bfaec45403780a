package pyroscopereceiver

import (
	"bytes"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	pprof "github.com/google/pprof/profile"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

// profileOf makes a profile with these types (`type/unit`), the first of which may be
// that of the period, and samples.
func profileOf(period string, types []string, samples ...*pprof.Sample) *pprof.Profile {
	valueType := func(s string) *pprof.ValueType {
		t, unit, _ := strings.Cut(s, "/")
		return &pprof.ValueType{Type: t, Unit: unit}
	}
	p := &pprof.Profile{TimeNanos: time.Now().Add(-time.Minute).UnixNano(), DurationNanos: 10e9, Period: 10_000_000, PeriodType: valueType(period), Sample: samples}
	for _, t := range types {
		p.SampleType = append(p.SampleType, valueType(t))
	}
	locations := make(map[*pprof.Location]bool)
	functions := make(map[*pprof.Function]bool)
	for _, s := range samples {
		for _, l := range s.Location {
			if !locations[l] {
				locations[l] = true
				l.ID = uint64(len(locations))
				p.Location = append(p.Location, l)
			}
			for _, line := range l.Line {
				if !functions[line.Function] {
					functions[line.Function] = true
					line.Function.ID = uint64(len(functions))
					p.Function = append(p.Function, line.Function)
				}
			}
		}
	}
	return p
}

// at is a location by the name of its function and the file.
func at(name, file string) *pprof.Location {
	return &pprof.Location{Line: []pprof.Line{{Function: &pprof.Function{Name: name, Filename: file}}}}
}

func encoded(t testing.TB, p *pprof.Profile) []byte {
	t.Helper()
	var buf bytes.Buffer
	require.NoError(t, p.WriteUncompressed(&buf))
	return buf.Bytes()
}

// goCPU is a profile as the Go runtime makes them: cpu of 10 ms.
func goCPU(t testing.TB) []byte {
	t.Helper()
	main, get := at("main.main", "main.go"), at("main.get[go.shape.int]", "get.go")
	return encoded(t, profileOf(
		"cpu/nanoseconds", []string{"samples/count", "cpu/nanoseconds"},
		&pprof.Sample{Location: []*pprof.Location{get, main}, Value: []int64{3, 30_000_001}, Label: map[string][]string{"pod": {"a"}, "span_id": {"00000000000000ff"}}},
		&pprof.Sample{Location: []*pprof.Location{main}, Value: []int64{1, 10_000_000}, NumLabel: map[string][]int64{"bytes": {7}}},
		&pprof.Sample{Location: []*pprof.Location{main}, Value: []int64{-1, 10}},
		&pprof.Sample{Location: []*pprof.Location{main}, Value: []int64{0, 0}},
	))
}

var goCPUSums = map[string]int64{
	"anonymous process_cpu:cpu:nanoseconds:cpu:nanoseconds {env=x,pod=a,pyroscope_spy=gospy,service_name=app.cpu} main.main;main.get": 30_000_001,
	"anonymous process_cpu:samples:count:cpu:nanoseconds {env=x,pod=a,pyroscope_spy=gospy,service_name=app.cpu} main.main;main.get":   3,
	"anonymous process_cpu:cpu:nanoseconds:cpu:nanoseconds {env=x,pyroscope_spy=gospy,service_name=app.cpu} main.main":                10_000_000,
	"anonymous process_cpu:samples:count:cpu:nanoseconds {env=x,pyroscope_spy=gospy,service_name=app.cpu} main.main":                  1,
}

// A profile comes raw, gzipped, in a form, or in a form that says that it is none.
func TestPprof(t *testing.T) {
	f := start(t, options{})
	raw := goCPU(t)
	path := query("name", "app.cpu{env=x}", "spyName", "gospy", "format", "pprof")
	assert.Equal(t, goCPUSums, f.push(t, path, raw))
	assert.Equal(t, goCPUSums, f.push(t, path, gzipped(t, raw)))
	assert.Equal(t, goCPUSums, f.push(t, path, gzipped(t, raw), "Content-Encoding", "gzip"), "of the profile alone")
	form, contentType := formOf(t, "profile", string(gzipped(t, raw)))
	assert.Equal(t, goCPUSums, f.push(t, path, form, "Content-Type", contentType))
	form, contentType = formOf(t, "other", "thing", "profile", string(raw), "sample_type_config", `{"cpu":{"units":"samples","display-name":"cpu_samples"}}`)
	assert.Equal(t, goCPUSums, f.push(t, strings.ReplaceAll(path, "format=pprof", ""), form, "Content-Type", contentType))
}

// The span of a sample is its link.
func TestPprofSpans(t *testing.T) {
	f := start(t, options{})
	f.push(t, query("name", "app", "format", "pprof"), goCPU(t))
	pd := f.sink.AllProfiles()[0]
	spans := make(map[string]int)
	for _, sp := range pd.ResourceProfiles().At(0).ScopeProfiles().All() {
		for _, p := range sp.Profiles().All() {
			for _, s := range p.Samples().All() {
				spans[pd.Dictionary().LinkTable().At(int(s.LinkIndex())).SpanID().String()]++
			}
		}
	}
	assert.Equal(t, map[string]int{"": 2, "00000000000000ff": 2}, spans)
}

// Comments are kept and make a series, unless they are long.
func TestPprofComments(t *testing.T) {
	f := start(t, options{})
	p := profileOf("cpu/nanoseconds", []string{"samples/count", "cpu/nanoseconds"}, &pprof.Sample{Location: []*pprof.Location{at("main", "")}, Value: []int64{1, 10}})
	post := func(text ...string) []string {
		p.Comments = text
		return comments(f.push(t, query("name", "app", "format", "pprof"), encoded(t, p)))
	}
	dropped := func() (n int64) {
		m, err := f.telemetry.GetMetric("otelcol_receiver_pyroscope_comments_dropped")
		if err != nil {
			return 0
		}
		for _, d := range m.Data.(metricdata.Sum[int64]).DataPoints {
			n += d.Value
		}
		return n
	}
	assert.Empty(t, post())
	assert.Equal(t, []string{`["a, b","ünï","a, b"]`}, post("a, b", "ünï", "a, b"))
	long := strings.Repeat("x", 1<<10)
	assert.Equal(t, []string{`["` + long + `"]`}, post(long))
	assert.Zero(t, dropped())
	assert.Empty(t, post(long, "y"))
	assert.EqualValues(t, 1, dropped())
}

func TestPprofNames(t *testing.T) {
	f := start(t, options{})
	main := at("main", "main.c")
	one := func(values ...int64) *pprof.Sample {
		return &pprof.Sample{Location: []*pprof.Location{main}, Value: values}
	}
	g := func(p *pprof.Profile, config string, want map[string]int64) {
		t.Helper()
		fields := []string{"profile", string(encoded(t, p))}
		if config != "" {
			fields = append(fields, "sample_type_config", config)
		}
		form, contentType := formOf(t, fields...)
		got := f.push(t, query("name", "app", "spyName", "x"), form, "Content-Type", contentType)
		short := make(map[string]int64)
		for k, v := range got {
			k = strings.TrimPrefix(k, "anonymous ")
			short[strings.TrimSuffix(k, " {pyroscope_spy=x,service_name=app} main")] = v
		}
		assert.Equal(t, want, short)
	}
	g(profileOf("space/bytes", []string{"alloc_objects/count", "alloc_space/bytes", "inuse_objects/count", "inuse_space/bytes"}, one(1, 2, 3, 4)), "", map[string]int64{
		"memory:alloc_objects:count:space:bytes": 1, "memory:alloc_space:bytes:space:bytes": 2,
		"memory:inuse_objects:count:space:bytes": 3, "memory:inuse_space:bytes:space:bytes": 4,
	})
	g(profileOf("contentions/count", []string{"contentions/count", "delay/nanoseconds"}, one(1, 2)), "", map[string]int64{
		"mutex:contentions:count:contentions:count": 1, "mutex:delay:nanoseconds:contentions:count": 2,
	})
	g(profileOf("contentions/count", []string{"contentions/count", "delay/nanoseconds"}, one(1, 2)), `{"contentions":{"display-name":"block_count"},"delay":{"display-name":"block_duration"}}`, map[string]int64{
		"block:contentions:count:contentions:count": 1, "block:delay:nanoseconds:contentions:count": 2,
	})
	g(profileOf("goroutine/count", []string{"goroutine/count"}, one(5)), `{"goroutine":{"display-name":"goroutines"}}`, map[string]int64{
		"goroutines:goroutine:count:goroutine:count": 5,
	})
	g(profileOf("wall/nanoseconds", []string{"sample/count", "wall/nanoseconds"}, one(1, 10)), "", map[string]int64{
		"wall:sample:count:wall:nanoseconds": 1, "wall:wall:nanoseconds:wall:nanoseconds": 10,
	})
	g(profileOf("cpu/nanoseconds", []string{"cpu/nanoseconds"}, one(20_000_000)), "", map[string]int64{
		"process_cpu:cpu:nanoseconds:cpu:nanoseconds": 20_000_000, "process_cpu:samples:count:cpu:nanoseconds": 2,
	})
	// As many types as one may have.
	types, values, want := []string(nil), []int64(nil), make(map[string]int64)
	for i := range int64(9) {
		n := strconv.FormatInt(i, 10)
		types, values = append(types, "t"+n+"/u"+n), append(values, i+1)
		want["t8:t"+n+":u"+n+":p:q"] = i + 1
	}
	g(profileOf("p/q", types, one(values...)), "", want)
}

// Profilers of .NET write types with a hyphen and number functions from 0.
func TestPprofOfDotnet(t *testing.T) {
	f := start(t, options{})
	zero, one := at("zero", "a.cs"), at("one", "b.cs")
	p := profileOf("p/q", []string{"inuse-space/bytes"}, &pprof.Sample{Location: []*pprof.Location{zero, one}, Value: []int64{3}})
	zero.Line[0].Function.ID, one.Line[0].Function.ID = 0, 1
	want := func(spy string) map[string]int64 {
		return map[string]int64{"anonymous memory:inuse_space:bytes:p:q {pyroscope_spy=" + spy + ",service_name=app} one;zero": 3}
	}
	assert.Equal(t, want("dotnetspy"), f.push(t, query("name", "app", "format", "pprof", "spyName", "dotnetspy"), encoded(t, p)))
	form, contentType := formOf(t, "profile", string(encoded(t, p)), "sample_type_config", `{"inuse-space":{}}`)
	assert.Equal(t, want("unknown"), f.push(t, query("name", "app"), form, "Content-Type", contentType))
	status, text := f.post(t, query("name", "app", "format", "pprof"), encoded(t, p))
	assert.Equal(t, 422, status, text)
}

func TestPprofFunctions(t *testing.T) {
	f := start(t, options{})
	p := profileOf("cpu/nanoseconds", []string{"cpu/nanoseconds"},
		&pprof.Sample{Location: []*pprof.Location{at("in", "/usr/lib/x.py"), at("out", "app.py")}, Value: []int64{10_000_000}})
	stack := func(spy string) string {
		for k := range f.push(t, query("name", "app", "format", "pprof", "spyName", spy), encoded(t, p)) {
			if strings.Contains(k, ":cpu:nanoseconds:") {
				return k[strings.Index(k, "} ")+2:]
			}
		}
		return ""
	}
	assert.Equal(t, "app.py out;in", stack("pyspy"))
	assert.Equal(t, "app.py out;/usr/lib/x.py in", stack("rbspy"))
	assert.Equal(t, "app.py out;/usr/lib/x.py in", stack("scripting"))
	assert.Equal(t, "out;in", stack("gospy"))
}

// Profiles of real programs: sums by sample type are those that google/pprof reads.
func TestPprofOfPrograms(t *testing.T) {
	f := start(t, options{config: func(c *Config) { c.Limits = LimitsConfig{} }})
	for _, file := range []string{"cpu.pb.gz", "memory.pb.gz"} {
		data, err := os.ReadFile("../../internal/corpus/testdata/" + file)
		require.NoError(t, err)
		p, err := pprof.ParseData(data)
		require.NoError(t, err)
		want := make(map[string]int64)
		for _, s := range p.Sample {
			for i, v := range s.Value {
				want[p.SampleType[i].Type] += v
			}
		}
		got := make(map[string]int64)
		for k, v := range f.push(t, query("name", "app", "format", "pprof"), data) {
			got[strings.Split(k, ":")[1]] += v
		}
		assert.Equal(t, want, got, file)
	}
}
