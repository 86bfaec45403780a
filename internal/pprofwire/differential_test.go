package pprofwire

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	runtimepprof "runtime/pprof"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	pprof "github.com/google/pprof/profile"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/internal/profile"
)

// sums are by sample type, stack with everything that is known of its frames, and
// labels.
type sums map[string]int64

func (s sums) add(typ, unit, stack, labels string, v int64) {
	if v != 0 {
		s[fmt.Sprintf("%s/%s {%s}\n%s", typ, unit, labels, stack)] += v
	}
}

// frameText is empty for a function of which nothing is known: OTLP has no others.
func frameText(f profile.Function, line int64) string {
	if f.IsZero() && line == 0 {
		return ""
	}
	return fmt.Sprintf(" %q %q %q %d:%d", f.Name, f.SystemName, f.Filename, f.StartLine, line)
}

func placeText(address uint64, file, buildID string) string {
	return fmt.Sprintf("\n%#x %q %q", address, file, buildID)
}

// labelsText sorts labels by name; several values of one are joined.
func labelsText(labels map[string][]string) string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		out = append(out, fmt.Sprintf("%q=%q", name, strings.Join(labels[name], ",")))
	}
	return strings.Join(out, " ")
}

func valid(s string) string { return strings.ToValidUTF8(s, "\ufffd") }

func placeOfReference(l *pprof.Location) string {
	text := placeText(l.Address, "", "")
	if m := l.Mapping; m != nil {
		text = placeText(l.Address, valid(m.File), valid(m.BuildID))
	}
	for _, line := range l.Line {
		f := line.Function
		text += frameText(profile.Function{
			Name: valid(f.Name), SystemName: valid(f.SystemName), Filename: valid(f.Filename), StartLine: f.StartLine,
		}, line.Line)
	}
	return text
}

// sumsOfReference is what google/pprof reads. Only texts are made valid.
func sumsOfReference(p *pprof.Profile) sums {
	out := make(sums)
	places := make(map[*pprof.Location]string)
	for _, s := range p.Sample {
		var stack strings.Builder
		for _, l := range s.Location {
			if places[l] == "" {
				places[l] = placeOfReference(l)
			}
			stack.WriteString(places[l])
		}
		labels := make(map[string][]string)
		for name, values := range s.Label {
			for _, v := range values {
				labels[valid(name)] = append(labels[valid(name)], valid(v))
			}
		}
		for name, values := range s.NumLabel {
			for _, v := range values {
				labels[valid(name)] = append(labels[valid(name)], fmt.Sprint(v))
			}
		}
		for i, t := range p.SampleType {
			out.add(valid(t.Type), valid(t.Unit), stack.String(), labelsText(labels), s.Value[i])
		}
	}
	return out
}

func placeOfWire(p *Profile, l uint32) string {
	at, m := p.Locations[l], Mapping{}
	if at.Mapping >= 0 {
		m = p.Mappings[at.Mapping]
	}
	text := placeText(at.Address, p.Text(m.Filename), p.Text(m.BuildID))
	for _, line := range p.Lines(l) {
		f := p.Functions[line.Function]
		text += frameText(profile.Function{
			Name: p.Text(f.Name), SystemName: p.Text(f.SystemName), Filename: p.Text(f.Filename), StartLine: f.StartLine,
		}, line.Line)
	}
	return text
}

func sumsOfWire(p *Profile) sums {
	out := make(sums)
	places := make(map[uint32]string)
	for i := range p.NumSamples() {
		s := p.Sample(i)
		var stack strings.Builder
		for _, l := range s.Locations {
			if places[l] == "" {
				places[l] = placeOfWire(p, l)
			}
			stack.WriteString(places[l])
		}
		labels := make(map[string][]string)
		for _, l := range s.Labels {
			v := p.Text(l.Str)
			if l.Str == 0 {
				v = fmt.Sprint(l.Num)
			}
			labels[p.Text(l.Key)] = append(labels[p.Text(l.Key)], v)
		}
		for n, t := range p.SampleTypes {
			out.add(p.Text(t.Type), p.Text(t.Unit), stack.String(), labelsText(labels), s.Values[n])
		}
	}
	return out
}

// sumsOfOTLP converts p and takes the result apart as the collector does.
func sumsOfOTLP(t *testing.T, p *Profile) sums {
	t.Helper()
	pd, err := ToProfiles(p, Options{Kind: "any", Time: time.Unix(1_700_000_000, 0)})
	require.NoError(t, err)
	groups, err := profile.Split(pd, time.Hour, profile.Limits{})
	require.NoError(t, err)
	out, d := make(sums), groups.Dict
	for _, g := range groups.Groups {
		for _, e := range g.Entries {
			var stack, lines strings.Builder
			for _, i := range d.Stacks[e.Stack] {
				f := &d.Frames[i]
				lines.WriteString(frameText(f.Function, f.Line))
				if !f.Inlined {
					stack.WriteString(placeText(f.Address, f.Mapping, f.BuildID) + lines.String())
					lines.Reset()
				}
			}
			labels := make(map[string][]string)
			for _, l := range d.Attributes[e.Attrs].Labels {
				labels[l.Name] = []string{l.Value}
			}
			for n, typ := range g.Types {
				out.add(typ.Type, typ.Unit, stack.String(), labelsText(labels), e.Values[n])
			}
		}
	}
	return out
}

// agrees checks that what we read of a profile.proto is what google/pprof reads.
func agrees(t *testing.T, data []byte) {
	t.Helper()
	p, err := Parse(data, Limits{})
	require.NoError(t, err)
	reference, err := pprof.ParseData(data)
	require.NoError(t, err)
	want := sumsOfReference(reference)
	require.Equal(t, want, sumsOfWire(p))
	require.Equal(t, want, sumsOfOTLP(t, p))
	assert.Equal(t, reference.TimeNanos, p.TimeNanos)
	assert.Equal(t, reference.DurationNanos, p.DurationNanos)
	assert.Equal(t, reference.Period, p.Period)
	assert.Equal(t, *reference.PeriodType, pprof.ValueType{Type: p.String(p.PeriodType.Type), Unit: p.String(p.PeriodType.Unit)})
	assert.Equal(t, reference.DefaultSampleType, p.String(p.DefaultSampleType))
	assert.Equal(t, reference.DropFrames, p.String(p.DropFrames))
	assert.Equal(t, reference.KeepFrames, p.String(p.KeepFrames))
	require.Len(t, p.Comments, len(reference.Comments))
	require.Len(t, p.Mappings, len(reference.Mapping))
	for i, m := range reference.Mapping {
		got := p.Mappings[i]
		assert.Equal(t, []uint64{m.ID, m.Start, m.Limit, m.Offset}, []uint64{got.ID, got.Start, got.Limit, got.Offset})
		assert.Equal(t, []bool{m.HasFunctions, m.HasFilenames, m.HasLineNumbers, m.HasInlineFrames},
			[]bool{got.HasFunctions, got.HasFilenames, got.HasLineNumbers, got.HasInlineFrames})
	}
}

func TestLikeReference(t *testing.T) {
	for name, data := range map[string][]byte{
		"small": small(), "gzipped": gzipped(small()), "cpu": recorded(t, "cpu.pb.gz"), "memory": recorded(t, "memory.pb.gz"),
		"go cpu": goCPU(t), "go heap": goHeap(t),
	} {
		t.Run(name, func(t *testing.T) { agrees(t, data) })
	}
}

// Profiles of other programs and languages that come with modules and the
// toolchain. Those in formats from before profile.proto are read by google/pprof.
func TestLikeReferenceOnFilesOfOthers(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/google/pprof").Output()
	require.NoError(t, err)
	root, err := exec.CommandContext(t.Context(), "go", "env", "GOROOT").Output()
	require.NoError(t, err)
	patterns := []string{filepath.Join(strings.TrimSpace(string(root)), "src/cmd/compile/internal/test/testdata/pgo/*/*.pprof")}
	for dir := range strings.Lines(string(out)) {
		for _, in := range []string{"profile/testdata/*", "internal/driver/testdata/*", "internal/report/testdata/*.cpu"} {
			patterns = append(patterns, filepath.Join(strings.TrimSpace(dir), in))
		}
	}
	compared := 0
	for _, pattern := range patterns {
		files, err := filepath.Glob(pattern)
		require.NoError(t, err)
		for _, name := range files {
			data, err := os.ReadFile(name)
			require.NoError(t, err)
			reference, err := pprof.ParseData(data)
			if err != nil {
				continue // expected output of a test
			}
			var proto bytes.Buffer
			require.NoError(t, reference.Write(&proto))
			t.Run(filepath.Base(name), func(t *testing.T) { agrees(t, proto.Bytes()) })
			compared++
		}
	}
	require.GreaterOrEqual(t, compared, 20)
}

var done atomic.Int64

// work takes CPU time.
//
//go:noinline
func work(n int) {
	sum := 0
	for i := range n {
		sum += i * i % 7
	}
	done.Add(int64(sum))
}

// Every profile of the Go runtime, with labels, as this program makes them.
func TestLikeReferenceOnGo(t *testing.T) {
	defer runtime.SetMutexProfileFraction(runtime.SetMutexProfileFraction(1))
	runtime.SetBlockProfileRate(1)
	defer runtime.SetBlockProfileRate(0)
	var cpu bytes.Buffer
	require.NoError(t, runtimepprof.StartCPUProfile(&cpu))
	var mu sync.Mutex
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for i := range 3 {
		wg.Go(func() {
			labels := runtimepprof.Labels("worker", fmt.Sprint(i), "broken", "a\xffb")
			runtimepprof.Do(context.Background(), labels, func(context.Context) {
				for range 20 {
					mu.Lock()
					work(1 << 20)
					mu.Unlock()
				}
				<-stop
			})
		})
	}
	work(1 << 26)
	var goroutine bytes.Buffer
	require.NoError(t, runtimepprof.Lookup("goroutine").WriteTo(&goroutine, 0))
	close(stop)
	wg.Wait()
	runtimepprof.StopCPUProfile()
	runtime.GC()
	for name, data := range map[string][]byte{"cpu": cpu.Bytes(), "goroutine": goroutine.Bytes()} {
		t.Run(name, func(t *testing.T) {
			agrees(t, data)
			p, err := Parse(data, Limits{})
			require.NoError(t, err)
			assert.Positive(t, p.NumSamples())
			assert.Contains(t, fmt.Sprint(sumsOfWire(p)), `"broken"="a`+"\ufffd"+`b" "worker"="`)
		})
	}
	for _, name := range []string{"heap", "allocs", "mutex", "block", "threadcreate"} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			require.NoError(t, runtimepprof.Lookup(name).WriteTo(&out, 0))
			agrees(t, out.Bytes())
		})
	}
}
