package pyroscopereceiver

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// wanted reads the sums beside a golden file, which tools other than ours computed: by
// type, labels and stack. testdata/golden/record makes both.
func wanted(t *testing.T, file string) map[string]int64 {
	t.Helper()
	data, err := os.ReadFile(file + ".want")
	require.NoError(t, err)
	want := make(map[string]int64)
	for lines := bufio.NewScanner(bytes.NewReader(data)); lines.Scan(); {
		if strings.HasPrefix(lines.Text(), "#") {
			continue
		}
		number, key, _ := strings.Cut(lines.Text(), "\t")
		n, err := strconv.ParseInt(number, 10, 64)
		require.NoError(t, err)
		want[key] = n
	}
	require.NotEmpty(t, want)
	return want
}

// commentLabel is what comments are in the labels of sums.
var commentLabel = regexp.MustCompile(`pprof_profile_comment=(\[".*?"\]),?`)

// comments returns those of what came out, each set of them once, as JSON.
func comments(sums map[string]int64) (out []string) {
	for k := range sums {
		if m := commentLabel.FindStringSubmatch(k); m != nil && !slices.Contains(out, m[1]) {
			out = append(out, m[1])
		}
	}
	return out
}

// wantedComments reads the comments that a profile has.
func wantedComments(t *testing.T, file string) (out []string) {
	t.Helper()
	data, err := os.ReadFile(file + ".want")
	require.NoError(t, err)
	var list []string
	for line := range strings.Lines(string(data)) {
		if text, ok := strings.CutPrefix(line, "#"); ok {
			list = append(list, strings.TrimSuffix(text, "\n"))
		}
	}
	if list == nil {
		return nil
	}
	text, err := json.Marshal(list)
	require.NoError(t, err)
	return []string{string(text)}
}

// golden brings what came out into the form of [wanted], without what pushes add.
func golden(t *testing.T, sums map[string]int64) map[string]int64 {
	t.Helper()
	got := make(map[string]int64)
	for k, v := range sums {
		id, rest, _ := strings.Cut(strings.TrimPrefix(k, "anonymous "), " {")
		_, id, _ = strings.Cut(id, ":") // without the name
		all, stack, ok := strings.Cut(commentLabel.ReplaceAllString(rest, ""), "} ")
		require.True(t, ok, k)
		labels := slices.DeleteFunc(strings.Split(all, ","), func(l string) bool {
			return strings.HasPrefix(l, "service_name=") || strings.HasPrefix(l, "pyroscope_spy=")
		})
		got[id+"\t"+strings.Join(labels, ",")+"\t"+stack] += v
	}
	return got
}

// each calls f with each of the golden files that have an ending and what the file
// holds, for it to compare with the sums wanted.
func each(t *testing.T, ending string, least int, f func(t *testing.T, name string, data []byte)) {
	t.Helper()
	files, err := filepath.Glob("testdata/golden/*" + ending)
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(files), least)
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			data, err := os.ReadFile(file)
			require.NoError(t, err)
			f(t, strings.TrimSuffix(file, ending), data)
		})
	}
}

// startGolden starts a receiver that takes profiles of any time.
func startGolden(t *testing.T) *fixture {
	return start(t, options{config: func(c *Config) { c.Limits.RejectOlderThan, c.Limits.RejectNewerThan = 0, 0 }})
}

// Profiles of real programs have the sums that `go tool pprof` prints of them, whichever
// way they come.
func TestGoldenPprof(t *testing.T) {
	f := startGolden(t)
	client := f.pushClient(t)
	each(t, ".pb.gz", 20, func(t *testing.T, name string, data []byte) {
		want := wanted(t, name)
		sums := f.push(t, query("name", "app", "format", "pprof"), data)
		assert.Equal(t, want, golden(t, sums))
		assert.Equal(t, wantedComments(t, name), comments(sums))
		form, contentType := formOf(t, "profile", string(data))
		assert.Equal(t, want, golden(t, f.push(t, query("name", "app"), form, "Content-Type", contentType)), "form")

		f.sink.Reset()
		_, err := client.Push(t.Context(), pushOf(series(map[string]string{"service_name": "app"}, data)))
		require.NoError(t, err)
		assert.Equal(t, want, golden(t, f.sums(t)), "push.v1")
	})
}

// Recordings of a JVM have the sums that its program `jfr` prints of them.
func TestGoldenJFR(t *testing.T) {
	f := startGolden(t)
	each(t, ".jfr.gz", 6, func(t *testing.T, name string, data []byte) {
		fields := []string{"jfr", string(data)}
		if labels, err := os.ReadFile(name + ".labels"); err == nil {
			fields = append(fields, "labels", string(labels))
		}
		form, contentType := formOf(t, fields...)
		path := query("name", "app", "format", "jfr", "spyName", "javaspy")
		assert.Equal(t, wanted(t, name), golden(t, f.push(t, path, form, "Content-Type", contentType)))
	})
}

// Stacks of real programs in every format of text.
func TestGoldenText(t *testing.T) {
	f := startGolden(t)
	for _, format := range []string{"folded", "lines", "trie", "tree", "speedscope"} {
		ending, name := "."+format, "app"
		if format == "speedscope" {
			ending = ".speedscope.json"
		}
		each(t, ending, 1, func(t *testing.T, file string, data []byte) {
			if file == "testdata/golden/python" && format == "speedscope" {
				name = "app.wall" // its numbers are of time
			}
			got := f.push(t, query("name", name, "format", format, "sampleRate", "499"), data)
			assert.Equal(t, wanted(t, file+ending), golden(t, got))
		})
	}
}
