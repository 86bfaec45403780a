package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// events writes lines of "action package [test]" as events into a file.
func events(t *testing.T, lines ...string) string {
	t.Helper()
	var b strings.Builder
	for _, line := range lines {
		f := strings.SplitN(line, " ", 3)
		b.WriteString(`{"Time":"2026-01-01T00:00:00Z","Action":"` + f[0] + `","Package":"` + f[1] + `"`)
		if len(f) > 2 {
			b.WriteString(`,"Test":"` + f[2] + `"`)
		}
		b.WriteString("}\n")
	}
	name := filepath.Join(t.TempDir(), "events")
	require.NoError(t, os.WriteFile(name, []byte(b.String()), 0o600))
	return name
}

func TestCheck(t *testing.T) {
	for name, tt := range map[string]struct {
		lines  []string
		status int
		want   []string
	}{
		"good": {lines: []string{"start p", "run p A", "pass p A", "skip q", "pass p"}},
		"run again": {
			lines: []string{"start p", "run p A", "run p A/b c", "fail p A/b c", "fail p A", "fail p", "start p", "run p A", "pass p A", "pass p"},
			want:  []string{"tests that failed, most", "  p A failed 1 times\n", "  p A/b c failed 1 times\n"},
		},
		"leak": {
			lines:  []string{"run p A", "run q B", "pass p A", "fail p", "pass q B", "pass q", "start p", "pass p"},
			status: 1, want: []string{"FAIL: p failed outside of its tests"},
		},
		"end amid a test": {
			lines:  []string{"run p A", "fail p A", "run p B", "fail p", "run p A", "pass p A", "pass p"},
			status: 1, want: []string{"FAIL: p ended amid B"},
		},
		"no end": {lines: []string{"start p", "run p A"}, status: 1, want: []string{"FAIL: p did not end"}},
		"empty":  {status: 1, want: []string{" has no events"}},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			assert.Equal(t, tt.status, check(&out, []string{events(t, tt.lines...)}), out.String())
			for _, want := range tt.want {
				assert.Contains(t, out.String(), want)
			}
			if len(tt.want) == 0 {
				assert.Empty(t, out.String())
			}
		})
	}
}

func TestCheckWithoutFile(t *testing.T) {
	var out bytes.Buffer
	assert.Equal(t, 1, check(&out, []string{"/nonexistent"}))
	assert.Contains(t, out.String(), "read events: open /nonexistent")
}

// What is no event is passed over.
func FuzzRead(f *testing.F) {
	f.Add([]byte("# p\n{\"Action\":\"fail\",\"Package\":\"p\"}\n{\"Action\":1}"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := report{runs: make(map[string]*run), repeated: make(map[string]int)}
		n, err := r.read(bytes.NewReader(b))
		if err != nil || n > bytes.Count(b, []byte("\n"))+1 {
			t.Fatalf("%d events: %v", n, err)
		}
	})
}
