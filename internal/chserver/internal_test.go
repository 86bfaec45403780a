package chserver

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

func TestBackoffDoublesUpToItsLimit(t *testing.T) {
	var b backoff
	step := minPause
	for range 20 {
		pause := b.next()
		assert.GreaterOrEqual(t, pause, step/2)
		assert.LessOrEqual(t, pause, step)
		step = min(2*step, maxPause)
	}
	assert.Equal(t, maxPause, step)
	b.reset()
	assert.LessOrEqual(t, b.next(), minPause)
}

func TestOptionsRefused(t *testing.T) {
	valid := Options{DataDir: "d", Launcher: "l", Library: "b"}
	for want, change := range map[string]func(*Options){
		"the data directory is required":        func(o *Options) { o.DataDir = "" },
		"the launcher is required":              func(o *Options) { o.Launcher = "" },
		"the library is required":               func(o *Options) { o.Library = "" },
		"the native port is 65536":              func(o *Options) { o.TCPPort = 65536 },
		"the HTTP port is -1":                   func(o *Options) { o.HTTPPort = -1 },
		"both ports are 1":                      func(o *Options) { o.TCPPort, o.HTTPPort = 1, 1 },
		"the memory limit is 1 bytes":           func(o *Options) { o.MemoryLimit = 1 },
		`"logger" is set by the collector`:      func(o *Options) { o.Settings = map[string]string{"logger": ""} },
		`"a><b" is not the name of a scalar`:    func(o *Options) { o.Settings = map[string]string{"a><b": ""} },
		`"tcp_port" is set by the collector it`: func(o *Options) { o.Settings = map[string]string{"tcp_port": "1"} },
	} {
		o := valid
		change(&o)
		_, err := New(o)
		assert.ErrorContains(t, err, want)
	}
	s, err := New(valid)
	require.NoError(t, err)
	assert.True(t, filepath.IsAbs(s.opts.DataDir))
	assert.EqualValues(t, DefaultMemoryLimit, s.opts.MemoryLimit)
}

func TestConfigIsEscaped(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a&b<c>")
	require.NoError(t, os.Mkdir(dir, 0o700))
	require.NoError(t, writeConfig(Options{DataDir: dir, Settings: map[string]string{"x": "</x>"}}, "secret"))
	config, err := os.ReadFile(configPath(dir))
	require.NoError(t, err)
	assert.Contains(t, string(config), "a&amp;b&lt;c&gt;/server.log</log>")
	assert.Contains(t, string(config), "<x>&lt;/x&gt;</x>")
	users, err := os.ReadFile(usersPath(dir))
	require.NoError(t, err)
	assert.NotContains(t, string(users), "secret")
}

func TestHolder(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "lock"))
	require.NoError(t, err)
	defer f.Close() //nolint:errcheck // a test file
	require.NoError(t, writeHolder(f))
	pid, started := readHolder(f)
	assert.Equal(t, os.Getpid(), pid)
	assert.Equal(t, processStart(os.Getpid()), started)
	assert.NotZero(t, started)

	info, err := f.Stat()
	require.NoError(t, err)
	for size := info.Size() - 1; size >= 0; size-- {
		require.NoError(t, f.Truncate(size))
		pid, started := readHolder(f)
		assert.Zero(t, pid, "%d bytes", size)
		assert.Zero(t, started)
	}
	assert.Zero(t, processStart(1<<30))
}

func FuzzReadHolder(f *testing.F) {
	f.Add("123 456\n")
	f.Add("-1 2\n")
	f.Fuzz(func(t *testing.T, text string) {
		file, err := os.Create(filepath.Join(t.TempDir(), "lock"))
		require.NoError(t, err)
		defer file.Close() //nolint:errcheck // a test file
		_, err = file.WriteString(text)
		require.NoError(t, err)
		if pid, _ := readHolder(file); pid < 0 {
			t.Fatalf("pid %d", pid)
		}
	})
}

const warning = "2026.11.21 08:27:38.890487 [ 27716 ] {a-b} <Warning> Some: thing\n"

func TestParseLogLine(t *testing.T) {
	level, message, ok := parseLogLine(strings.TrimSuffix(warning, "\n"))
	assert.True(t, ok)
	assert.Equal(t, "Warning", level)
	assert.Equal(t, "Some: thing", message)

	_, message, ok = parseLogLine(strings.Replace(warning, "thing\n", strings.Repeat("é", maxLogMessage), 1))
	assert.True(t, ok)
	assert.LessOrEqual(t, len(message), maxLogMessage+len("..."))

	_, message, ok = parseLogLine(strings.Replace(warning, "thing\n", "thing, Stack trace (when copying this", 1))
	assert.True(t, ok)
	assert.Equal(t, "Some: thing", message)

	whole := strings.Index(warning, "> ") + len("> ")
	for n := range whole {
		_, _, ok := parseLogLine(warning[:n])
		assert.False(t, ok, "first %d bytes", n)
	}
	for _, line := range []string{"0. ? @ 0x1", strings.Replace(warning, "Warning", "Information", 1), strings.Replace(warning, "2026.", "2026-", 1)} {
		_, _, ok := parseLogLine(line)
		assert.False(t, ok, line)
	}
}

func FuzzParseLogLine(f *testing.F) {
	f.Add(warning)
	f.Fuzz(func(t *testing.T, line string) {
		if _, message, ok := parseLogLine(line); ok && len(message) > maxLogMessage+len("...") {
			t.Fatalf("message of %d bytes", len(message))
		}
	})
}

func TestLogTail(t *testing.T) {
	path := filepath.Join(t.TempDir(), "server.log")
	write := func(text string) {
		t.Helper()
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
		require.NoError(t, err)
		_, err = f.WriteString(text)
		require.NoError(t, err)
		require.NoError(t, f.Close())
	}
	line := func(n int) string { return strings.Replace(warning, "thing", fmt.Sprintf("thing %d", n), 1) }
	core, logs := observer.New(zap.DebugLevel)
	expect := func(want ...int) {
		t.Helper()
		var got []int
		for _, e := range logs.TakeAll() {
			var n int
			_, err := fmt.Sscanf(e.ContextMap()["message"].(string), "Some: thing %d", &n)
			require.NoError(t, err)
			got = append(got, n)
		}
		assert.Equal(t, want, got)
	}

	write(line(1))
	tail := newLogTail(path, zap.New(core))
	defer tail.close()
	now := time.Unix(1000, 0)
	tail.poll(now)
	expect() // it was there before

	write(line(2) + "0. stack trace\n" + line(3)[:40])
	tail.poll(now)
	expect(2)
	write(line(3)[40:])
	tail.poll(now)
	expect(3)

	write(line(4))
	require.NoError(t, os.Rename(path, path+".0"))
	write(line(5))
	tail.poll(now)
	expect(4, 5)

	write(strings.Repeat("x", 3*maxLogChunk) + "\n" + line(6))
	tail.poll(now)
	expect(6)

	write(strings.Repeat(line(7), logBurst+5))
	tail.poll(now)
	assert.Len(t, logs.TakeAll(), logBurst-5, "with the five before it is the limit")
	tail.poll(now.Add(logWindow))
	summary := logs.TakeAll()
	require.Len(t, summary, 1)
	assert.EqualValues(t, 10, summary[0].ContextMap()["suppressed"])
	write(line(8))
	tail.poll(now.Add(logWindow))
	expect(8)
}

func TestTailBuffer(t *testing.T) {
	var b tailBuffer
	for i := range 3000 {
		_, err := fmt.Fprintf(&b, "%d\n", i)
		require.NoError(t, err)
	}
	_, err := b.Write([]byte(strings.Repeat("y", tailSize-2)))
	require.NoError(t, err)
	assert.Equal(t, "9\n"+strings.Repeat("y", tailSize-2), b.text())
	_, err = b.Write([]byte(strings.Repeat("z", 3*tailSize)))
	require.NoError(t, err)
	assert.Equal(t, strings.Repeat("z", tailSize), b.text())
}
