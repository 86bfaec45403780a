package notify

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/confmap"
)

// example returns the first block of a language in the documentation.
func example(t *testing.T, language string) string {
	t.Helper()
	page, err := os.ReadFile("../../../docs/alerts-notification.md")
	require.NoError(t, err)
	m := regexp.MustCompile("(?s)```" + language + "\n(.*?)```").FindSubmatch(page)
	require.NotNil(t, m)
	return string(m[1])
}

func TestDocumentedConfiguration(t *testing.T) {
	t.Setenv("APERTURE_WEBHOOK_SECRET", secret)
	retrieved, err := confmap.NewRetrievedFromYAML([]byte(example(t, "yaml")))
	require.NoError(t, err)
	conf, err := retrieved.AsConf()
	require.NoError(t, err)
	sub, err := conf.Sub("alerts")
	require.NoError(t, err)
	c := &Config{}
	require.NoError(t, sub.Unmarshal(c))
	require.NoError(t, confmap.Validate(c))
}

// The documented message has all fields and no others.
func TestDocumentedMessage(t *testing.T) {
	text := []byte(example(t, "json"))
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	var m message
	require.NoError(t, dec.Decode(&m))
	assert.Equal(t, messageVersion, m.Version)
	var raw struct{ Alerts []map[string]any }
	require.NoError(t, json.Unmarshal(text, &raw))
	assert.Len(t, raw.Alerts[0], reflect.TypeFor[messageAlert]().NumField())
	assert.Len(t, raw.Alerts[0]["rule"], reflect.TypeFor[messageRule]().NumField())
}

func TestDocumentedVerification(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles and runs programs")
	}
	body := []byte("{\"a\": \"\xff \u00e9\n\"}")
	now := time.Now()
	good := sign(secret, now, body)
	run := func(t *testing.T, name string, args ...string) {
		cases := []struct {
			secret, header string
			body           []byte
			want           string
		}{
			{secret, good, body, "true"},
			{secret + "x", good, body, "false"},
			{secret, good, append([]byte("x"), body...), "false"},
			{secret, good[:len(good)-1] + "g", body, "false"},
			{secret, sign(secret, now.Add(-time.Hour), body), body, "false"},
			{secret, "", body, "false"},
		}
		for _, c := range cases {
			cmd := exec.Command(name, append(args, c.secret, c.header)...)
			cmd.Stdin = bytes.NewReader(c.body)
			var stderr bytes.Buffer
			cmd.Stderr = &stderr
			out, err := cmd.Output()
			require.NoError(t, err, "%s", stderr.Bytes())
			assert.Equal(t, c.want, string(bytes.ToLower(bytes.TrimSpace(out))), "%+v", c)
		}
	}
	t.Run("go", func(t *testing.T) {
		dir := t.TempDir()
		source, bin := filepath.Join(dir, "main.go"), filepath.Join(dir, "verify")
		require.NoError(t, os.WriteFile(source, []byte(`package main
import ("crypto/hmac"; "crypto/sha256"; "encoding/hex"; "fmt"; "io"; "os"; "time")
func main() {
	body, _ := io.ReadAll(os.Stdin)
	fmt.Println(verify(os.Args[1], os.Args[2], body, time.Now()))
}
`+example(t, "go")), 0o600))
		out, err := exec.Command("go", "build", "-o", bin, source).CombinedOutput()
		require.NoError(t, err, "%s", out)
		run(t, bin)
	})
	t.Run("python", func(t *testing.T) {
		python, err := exec.LookPath("python3")
		if err != nil {
			t.Skip("no python3")
		}
		run(t, python, "-c", example(t, "python")+`
import sys
print(verify(sys.argv[1].encode(), sys.argv[2], sys.stdin.buffer.read()))
`)
	})
}
