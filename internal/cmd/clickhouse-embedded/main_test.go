package main

import (
	"io"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func args(more ...string) []string {
	return append([]string{
		"-library", "l", "-config", "c", "-path", "p", "-user", "u", "-password-file", "f",
		"-tcp-port", "9000", "-http-port", "8123",
	}, more...)
}

func TestParseOptions(t *testing.T) {
	o, err := parseOptions(args("-grace", "3s"), io.Discard)
	require.NoError(t, err)
	assert.Equal(t, options{
		library: "l", config: "c", path: "p", user: "u", passwordFile: "f",
		host: "127.0.0.1", tcpPort: 9000, httpPort: 8123, logLevel: "information", grace: 3 * time.Second,
	}, o)
}

func TestParseOptionsRefuses(t *testing.T) {
	for want, arguments := range map[string][]string{
		"-library is required":       args("-library", ""),
		"-config is required":        args("-config", ""),
		"-path is required":          args("-path", ""),
		"-user is required":          args("-user", ""),
		"-password-file is required": args("-password-file", ""),
		"-tcp-port is 0":             args("-tcp-port", "0"),
		"-http-port is 65536":        args("-http-port", "65536"),
		"-grace is 0s":               args("-grace", "0s"),
		`unexpected argument "x"`:    args("x"),
		"not defined":                args("-x"),
	} {
		_, err := parseOptions(arguments, io.Discard)
		assert.ErrorContains(t, err, want)
	}
}

func TestNeedsPipe(t *testing.T) {
	null, err := os.Open(os.DevNull)
	require.NoError(t, err)
	defer null.Close() //nolint:errcheck // read-only
	_, err = watchParent(int(null.Fd()), time.Second)
	require.ErrorContains(t, err, "not a pipe")
}

func TestOpenLibraryRefuses(t *testing.T) {
	_, err := openLibrary("/no/such/library.so")
	require.ErrorContains(t, err, "load library /no/such/library.so")
}
