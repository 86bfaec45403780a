package main

import (
	"bytes"
	"context"
	"flag"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/internal/ebpftest"
)

func init() { ebpftest.RunWorkload() }

func TestMain(m *testing.M) { ebpftest.Main(m) }

var update = flag.Bool("update", false, "write the golden files anew")

// result is what a run of the program left behind.
type result struct {
	code     int
	out, err string
}

// at is now in tests.
var at = time.Date(2026, 1, 1, 0, 20, 0, 0, time.UTC)

// ctl runs a command line. env are `NAME=value`.
func ctl(t *testing.T, env []string, args ...string) result {
	t.Helper()
	return ctlContext(t.Context(), env, args...)
}

func ctlContext(ctx context.Context, env []string, args ...string) result {
	var out, stderr bytes.Buffer
	a := &app{
		in: strings.NewReader(""), out: &out, err: &stderr, now: func() time.Time { return at },
		getenv: func(name string) string {
			for _, e := range env {
				if v, ok := strings.CutPrefix(e, name+"="); ok {
					return v
				}
			}
			return ""
		},
	}
	return result{a.run(ctx, args), out.String(), stderr.String()}
}

// golden compares text with a file.
func golden(t *testing.T, name, text string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Equal(t, string(want), text, name)
}

// replay is a server that gives the answers of a real collector again. It fails
// requests it does not know.
func replay(t *testing.T, routes map[string]string) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		file, ok := routes[r.Method+" "+r.URL.Path]
		if !ok {
			http.Error(w, "404 page not found", http.StatusNotFound)
			return
		}
		text, err := os.ReadFile(filepath.Join("testdata", file))
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		_, _ = w.Write(text)
	}))
	t.Cleanup(s.Close)
	return "APERTURE_SERVER=" + s.URL
}

// What a collector answered is shown as these tables. -o json is what it answered.
func TestTables(t *testing.T) {
	for name, tt := range map[string]struct {
		route, answer string
		args          []string
	}{
		"aggregate":    {"POST /api/aggregate", "aggregate.json", []string{"aggregate"}},
		"top":          {"POST /api/aggregate", "aggregate.json", []string{"top"}},
		"top-total":    {"POST /api/aggregate", "aggregate.json", []string{"top", "--by", "total", "-n", "2"}},
		"batches":      {"GET /api/batches", "batches.json", []string{"batches"}},
		"diff":         {"POST /api/diff", "diff.json", []string{"diff", "--since", "10m"}},
		"diff-lock":    {"POST /api/diff", "diff-lock.json", []string{"diff", "--since", "10m", "--type", "lock"}},
		"diff-syscall": {"POST /api/diff", "diff-syscall.json", []string{"diff", "--since", "10m", "--type", "syscall"}},
		"alerts":       {"GET /api/alerts", "alerts.json", []string{"alerts", "list"}},
		"history":      {"GET /api/alerts/history", "history.json", []string{"alerts", "history"}},
	} {
		env := []string{replay(t, map[string]string{tt.route: tt.answer})}
		r := ctl(t, env, tt.args...)
		require.Zero(t, r.code, "%s: %s", name, r.err)
		assert.Empty(t, r.err, name)
		golden(t, name+".txt", r.out)
		assert.NotContains(t, r.out, "\x1b", "%s: names do not control the terminal", name)

		if tt.args[0] != "top" {
			r = ctl(t, env, append(tt.args, "-o", "json")...)
			require.Zero(t, r.code, r.err)
			want, err := os.ReadFile(filepath.Join("testdata", tt.answer))
			require.NoError(t, err)
			assert.JSONEq(t, string(want), r.out, name)
		}
	}
}

func TestTopJSON(t *testing.T) {
	env := []string{replay(t, map[string]string{"POST /api/aggregate": "aggregate.json"})}
	r := ctl(t, env, "top", "-o", "json", "-n", "1", "--by", "total")
	require.Zero(t, r.code, r.err)
	assert.JSONEq(t, `{"kind":"cpu","unit":"count","total":20,"truncated":false,"functions":[{"function":"main","module":"","self":0,"total":20}]}`, r.out)
}

// Faults of the command line have status 2 and are found before anything is sent.
func TestUsage(t *testing.T) {
	for args, want := range map[string]string{
		"nope":                            `unknown command "nope" for "aperturectl"`,
		"top --nope":                      `unknown flag: --nope`,
		"top more":                        `unknown command "more" for "aperturectl top"`,
		"top --since -5m":                 `--since must be a positive duration such as 15m, 1h or 7d, got "-5m"`,
		"top --since 1h --from now":       `--since and --from exclude each other`,
		"top --from tomorrow":             `--from must be a time such as 2026-01-31T15:04:05Z, Unix milliseconds or nanoseconds, -15m or now, got "tomorrow"`,
		"top --from now --to -1m":         `the range ends at 2026-01-01T00:19:00.000Z, before it begins at 2026-01-01T00:20:00.000Z`,
		"top --limit -1":                  `--limit must be at least 0, got -1`,
		"top --label x":                   `--label must be name=value, got "x"`,
		"top -n -1":                       `--rows must be at least 0, got -1`,
		"aggregate --rows -1":             `--rows must be at least 0, got -1`,
		"diff --since 1h --rows -1":       `--rows must be at least 0, got -1`,
		"top --service bad\xff":           `--service must be valid UTF-8, got "bad\xff"`,
		"query --agent \xff":              `--agent must be valid UTF-8, got "\xff"`,
		"push x --service bad\xff":        `--service must be valid UTF-8, got "bad\xff"`,
		"push x --agent bad\xff":          `--agent must be valid UTF-8, got "bad\xff"`,
		"push x --type bad\xff":           `--type must be valid UTF-8, got "bad\xff"`,
		"push x --label \xff=1":           `--label must be valid UTF-8, got "\xff=1"`,
		"push x --label a=\xff":           `--label must be valid UTF-8, got "a=\xff"`,
		"push x --label =1":               `--label must be name=value, got "=1"`,
		"completion zzz":                  `unknown command "zzz" for "aperturectl completion"`,
		"completion bash zzz":             `unknown command "zzz" for "aperturectl completion bash"`,
		"top --by size":                   `--by must be self or total, got "size"`,
		"top -o svg":                      `--output must be table or json, got "svg"`,
		"top --timeout 0s":                `--timeout must be positive, got 0s`,
		"top --tenant a/b":                `--tenant: `,
		"top --server http://me:secret@h": `--server must have no user name or password: give a token by --token-file`,
		"top --server ftp://h":            `--server must be an address or URL like http://host:9090, got "ftp://h"`,
		"query --grpc host":               `--grpc must be an address like 127.0.0.1:50051, got "host"`,
		"top --cert a":                    `--cert and --key go together`,
		"top --ca /nope":                  `--ca: open /nope: no such file or directory`,
		"top --token a --token-file b":    `--token and --token-file exclude each other`,
		"top --token-file /nope":          `--token-file: open /nope: no such file or directory`,
		"diff":                            `give a range by --since or --from, or the baseline's by --baseline-from`,
		"diff --since 1h --normalize all": `--normalize must be none, share or rate, got "all"`,
		"diff --since 1h --offset 0s":     `--offset must be a positive duration such as 1h or 7d, got "0s"`,
		"diff --from 1000 --to now":       `the baseline would begin before 1970: take a shorter range`,
		"export":                          `name one format: json, collapsed, pprof, speedscope, svg, otlp`,
		"export xml":                      `name one format: json, collapsed, pprof, speedscope, svg, otlp`,
		"export pprof --title x":          `--title is for svg only`,
		"alerts delete":                   "name one rule by its id, as `aperturectl alerts list` has it",
		"alerts delete ..":                "name one rule by its id, as `aperturectl alerts list` has it",
		"alerts create --name x":          `a rule needs --metric, or the key in --file`,
		"push":                            `name one file, or - for the standard input`,
		"push x --format xml":             `--format must be one of auto, aperture, pprof, folded, jfr, got "xml"`,
		"push x --otlp nowhere":           `--otlp must be an address like 127.0.0.1:50051, got "nowhere"`,
		"record --profile gpu":            `--profile must be one of cpu, off_cpu, lock, syscall, got "gpu"`,
		"record --frequency 0":            `--frequency must be from 1 to 1000, got 0`,
		"record sleep 1":                  `the command to profile comes after --, got "sleep"`,
		"record --pid 1 -- sleep 1":       `--pid and a command exclude each other`,
		"record --duration 48h":           `--duration must be from 0 to 24h, got 48h0m0s`,
		"record --format xml":             `--format must be pprof, collapsed, speedscope or svg, got "xml"`,
	} {
		r := ctl(t, []string{"APERTURE_SERVER=192.0.2.1:1"}, strings.Fields(args)...)
		assert.Equal(t, exitUsage, r.code, args)
		assert.Contains(t, r.err, "aperturectl: "+want, args)
		assert.Equal(t, 1, strings.Count(r.err, "\n"), args)
		assert.Empty(t, r.out, args)
	}
}

func TestHelpAndCompletion(t *testing.T) {
	const token = "hunter2-secret"
	for _, args := range [][]string{{"--help"}, {"top", "--help"}, {"record", "--help"}, {"alerts"}, {"completion"}} {
		r := ctl(t, []string{"APERTURE_AUTH_TOKEN=" + token}, args...)
		require.Zero(t, r.code)
		assert.NotContains(t, r.out+r.err, token)
		assert.Contains(t, r.out, "Usage:")
	}
	for _, shell := range []string{"bash", "zsh", "fish"} {
		r := ctl(t, nil, "completion", shell)
		require.Zero(t, r.code, r.err)
		assert.Contains(t, r.out, "aperturectl")
	}
	for command, want := range map[string]string{
		"top": "-o, --output format", "diff": "-o, --output format", "export": "-o, --output file", "record": "-o, --output file",
	} {
		_, text, _ := strings.Cut(ctl(t, nil, command, "--help").out, want)
		line, _, _ := strings.Cut(text, "\n")
		_, isFile := strings.CutSuffix(want, "file")
		assert.Equal(t, !isFile, strings.Contains(line, "not a file"), "%s: %s", command, line)
		assert.Equal(t, isFile, strings.Contains(line, "not a format"), "%s: %s", command, line)
	}
	r := ctl(t, nil, "__complete", "export", "s")
	assert.Contains(t, r.out, "speedscope\nsvg")
	r = ctl(t, nil, "version")
	assert.Contains(t, r.out, "aperturectl devel")
}

// Ids and the path of --server are in the request as they are.
func TestPaths(t *testing.T) {
	var uri string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		uri = r.RequestURI
		_, _ = w.Write([]byte(`{"enabled":true}`))
	}))
	defer s.Close()
	r := ctl(t, nil, "alerts", "toggle", "a/b ü?", "--server", s.URL+"/behind/proxy/")
	require.Zero(t, r.code, r.err)
	assert.Equal(t, "/behind/proxy/api/alerts/a%2Fb%20%C3%BC%3F/toggle", uri)
	assert.Equal(t, "enabled a/b ü?\n", r.out)
}

// There is nothing to compare where neither range has a profile.
func TestDiffOfNothing(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"result_json":"{\"baseline_total\":0,\"comparison_total\":0,\"stacks\":[]}","error":""}`))
	}))
	defer s.Close()
	file := filepath.Join(t.TempDir(), "diff.txt")
	for _, args := range [][]string{nil, {"-f", file}} {
		r := ctl(t, []string{"APERTURE_SERVER=" + s.URL}, append([]string{"diff", "--since", "1h", "--type", "lock"}, args...)...)
		assert.Equal(t, exitFailure, r.code)
		assert.Equal(t, "aperturectl: there is no lock profile in either range: check the filters, or take longer ranges\n", r.err)
		assert.Empty(t, r.out)
		assert.NoFileExists(t, file)
	}
}
