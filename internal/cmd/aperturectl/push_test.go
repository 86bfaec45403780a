package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What is wrong with a file is said before anything is sent.
func TestPushRefusesBadFiles(t *testing.T) {
	dir := t.TempDir()
	for content, want := range map[string]string{
		"":                     "cannot use FILE: decode pprof: invalid pprof: there is no data",
		"a;b":                  "cannot use FILE: decode folded stacks: line 1 has no number at its end",
		"\x1f\x8b":             "cannot read FILE: inflate file: unexpected EOF",
		"FLR\x00":              "cannot use FILE: decode JFR: chunk 0: the header has 4 bytes; it must have 68",
		"\x01\x00\x00\x00\x02": "FILE is no Aperture payload: ",
		"\xff\xff\xff":         "cannot use FILE: decode pprof: invalid pprof: profile, byte 0: ",
		"\x32\x04main":         "cannot use FILE: decode pprof: invalid pprof: string_table[0] has 4 bytes; it must be empty",
		"\x0a\x04\x08\x01\x10\x02\x32\x00\x32\x07samples\x32\x05count": "cannot use FILE: there are no samples in it",
	} {
		file := filepath.Join(dir, "file")
		require.NoError(t, os.WriteFile(file, []byte(content), 0o600))
		r := ctl(t, []string{"APERTURE_OTLP=" + closed(t), "APERTURE_GRPC=" + closed(t)}, "push", file)
		assert.Equal(t, exitFailure, r.code, "%q", content)
		want = "aperturectl: " + strings.ReplaceAll(want, "FILE", file)
		assert.Contains(t, r.err, want, "%q", content)
		assert.Empty(t, r.out)
	}
	r := ctl(t, nil, "push", dir)
	assert.Equal(t, "aperturectl: cannot read "+dir+": it is a directory\n", r.err)
	r = ctl(t, nil, "push", "/nonexistent")
	assert.Equal(t, "aperturectl: cannot read /nonexistent: no such file or directory\n", r.err)

	file := filepath.Join(dir, "good")
	require.NoError(t, os.WriteFile(file, []byte("a;b 1\n"), 0o600))
	address := closed(t)
	r = ctl(t, nil, "push", file, "--otlp", address)
	assert.Equal(t, "aperturectl: nothing listens on "+address+": start the collector, or give its address by --otlp\n", r.err)
	r = ctl(t, nil, "push", file, "--format", "jfr")
	assert.Equal(t, "aperturectl: cannot use "+file+": decode JFR: chunk 0: the header has 6 bytes; it must have 68\n", r.err)
}

// A file that was changed before 1970 has no time that could be sent.
func TestPushOfAnOldFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "old")
	require.NoError(t, os.WriteFile(file, []byte("a;b 1\n"), 0o600))
	old := time.Date(1969, 7, 20, 20, 17, 40, 0, time.UTC)
	require.NoError(t, os.Chtimes(file, old, old))
	address := closed(t)
	r := ctl(t, nil, "push", file, "--otlp", address)
	assert.Equal(t, exitFailure, r.code)
	assert.Equal(t, "aperturectl: cannot use "+file+": the profile has no time of its own, and 1969-07-20T20:17:40Z is not between 1970 and 2262; give its time by --at\n", r.err)
	r = ctl(t, nil, "push", file, "--otlp", address, "--at", "-1h")
	assert.Contains(t, r.err, "nothing listens on "+address, "the file is good with a time")
}
