package ingest

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"io"
	"maps"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	jfrpprof "github.com/grafana/jfr-parser/pprof"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/pyroscope/typemap"
)

// moduleDir returns where the source of a module is.
func moduleDir(t *testing.T, path string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", path).Output()
	require.NoError(t, err)
	return strings.TrimSpace(string(out))
}

func gunzip(t *testing.T, file string) []byte {
	t.Helper()
	packed, err := os.ReadFile(file)
	require.NoError(t, err)
	z, err := gzip.NewReader(bytes.NewReader(packed))
	require.NoError(t, err)
	data, err := io.ReadAll(z)
	require.NoError(t, err)
	return data
}

// What becomes of recordings of real programs is what Pyroscope's own reader makes of
// them: the sums by type, stack and labels.
func TestJFRDifferential(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(moduleDir(t, "github.com/grafana/jfr-parser"), "parser", "testdata", "*.jfr.gz"))
	require.NoError(t, err)
	files = append(files, "../../profileimport/testdata/work.jfr.gz")
	compared := 0
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".jfr.gz")
		if strings.HasPrefix(name, "goland") {
			continue // large, and of several chunks, which the other reader mixes up
		}
		t.Run(name, func(t *testing.T) {
			data := gunzip(t, file)
			var snapshot []byte
			labels := new(jfrpprof.LabelsSnapshot)
			if packed := strings.TrimSuffix(file, ".jfr.gz") + ".labels.pb.gz"; exists(packed) {
				snapshot = gunzip(t, packed)
				require.NoError(t, labels.UnmarshalVT(snapshot))
			}
			from := time.Unix(1_700_000_000, 0)
			theirs, err := jfrpprof.ParseJFR(data, &jfrpprof.ParseInput{StartTime: from, EndTime: from.Add(time.Second), SampleRate: 100}, labels)
			require.NoError(t, err)
			want := theirSums(theirs)

			b := NewBatch("t", &Limits{}, from)
			require.NoError(t, b.JFR(&Params{Application: "app", Format: JFR, SampleRate: 100, From: from, Until: from}, data, snapshot))
			got := ourSums(t, b)
			require.NotEmpty(t, got)
			assert.Equal(t, len(want), len(got))
			for _, k := range slices.Sorted(maps.Keys(want)) {
				want, got := float64(want[k]), float64(got[k])
				if strings.Contains(k, " delay ") {
					// Theirs are in ticks, and each of ours is rounded.
					want = want * 1e9 / float64(binary.BigEndian.Uint64(data[56:]))
					if math.Abs(got-want) < 1000 {
						continue
					}
				}
				if want != got {
					t.Errorf("%.256s: found %f, want %f", k, got, want)
				}
			}
		})
		compared++
	}
	assert.Greater(t, compared, 10)
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}

// addresses are in names of classes that a JVM makes: theirs keep those of JDK 17.
var addresses = regexp.MustCompile(`(?:\$\d+)?\+0x[0-9a-f]+/\d+\.`)

func theirSums(p *jfrpprof.Profiles) map[string]int64 {
	sums := make(map[string]int64)
	for _, one := range p.Profiles {
		p := one.Profile
		functions := make(map[uint64]string)
		for _, f := range p.Function {
			functions[f.Id] = p.StringTable[f.Name]
		}
		locations := make(map[uint64]string)
		for _, l := range p.Location {
			locations[l.Id] = functions[l.Line[0].FunctionId]
		}
		for _, s := range p.Sample {
			var stack, labels []string
			for _, l := range s.LocationId {
				stack = append(stack, addresses.ReplaceAllString(locations[l], "_."))
			}
			for _, l := range s.Label {
				if key := p.StringTable[l.Key]; key != labelProfile && key != labelTrace {
					labels = append(labels, key+"="+p.StringTable[l.Str])
				}
			}
			slices.Sort(labels)
			for i, v := range s.Value {
				if v != 0 {
					t := p.SampleType[i]
					sums[strings.Join([]string{one.Metric, p.StringTable[t.Type], p.StringTable[t.Unit], strings.Join(labels, ","), strings.Join(stack, ";")}, " ")] += v
				}
			}
		}
	}
	return sums
}

func ourSums(t *testing.T, b *Batch) map[string]int64 {
	t.Helper()
	g, err := profile.Split(b.Profiles, time.Hour, profile.Limits{})
	require.NoError(t, err)
	sums := make(map[string]int64)
	for _, grp := range g.Groups {
		var labels []string
		for _, l := range grp.Series.Labels {
			if l.Name != typemap.AttrService && l.Name != labelSpy && l.Name != labelEvent {
				labels = append(labels, l.Name+"="+l.Value)
			}
		}
		slices.Sort(labels)
		for i, typ := range grp.Types {
			if grp.Kind == profile.KindCPU && typ.Type == "samples" {
				continue
			}
			for _, e := range grp.Entries {
				var stack []string
				for _, at := range g.Dict.Stacks[e.Stack] {
					stack = append(stack, g.Dict.Frames[at].Function.Name)
				}
				if v := e.Values[i]; v != 0 {
					sums[strings.Join([]string{typemap.Name(grp.Kind), typ.Type, typ.Unit, strings.Join(labels, ","), strings.Join(stack, ";")}, " ")] += v
				}
			}
		}
	}
	return sums
}
