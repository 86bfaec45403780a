package notify

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// realAlertmanager is a running Alertmanager that sends what it has to say to
// told.
type realAlertmanager struct {
	url  string
	told *receiver
}

// program builds Alertmanager, at the version of internal/tools/alertmanager,
// and returns where it is. The build cache keeps it.
var program = sync.OnceValues(func() (string, error) {
	var stderr bytes.Buffer
	cmd := exec.Command("go", "tool", "-modfile=internal/tools/alertmanager/go.mod", "-n", "alertmanager")
	cmd.Dir = "../../.."
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("build alertmanager: %w: %s", err, stderr.Bytes())
	}
	return strings.TrimSpace(string(out)), nil
})

var listening = regexp.MustCompile(`msg="Listening on" address=(\S+)`)

func startAlertmanager(t *testing.T) *realAlertmanager {
	t.Helper()
	if testing.Short() {
		t.Skip("builds and runs Alertmanager")
	}
	path, err := program()
	require.NoError(t, err)
	a := &realAlertmanager{told: newReceiver(t, nil)}
	dir := t.TempDir()
	config := filepath.Join(dir, "alertmanager.yml")
	require.NoError(t, os.WriteFile(config, []byte(fmt.Sprintf(`
route:
  receiver: page
  group_by: [aperture_rule_id]
  group_wait: 10ms
  group_interval: 100ms
  repeat_interval: 1h
receivers:
  - name: page
    webhook_configs: [{url: '%s', send_resolved: true}]
`, a.told.URL)), 0o600))

	cmd := exec.Command(path, "--config.file="+config, "--storage.path="+dir,
		"--web.listen-address=127.0.0.1:0", "--cluster.listen-address=")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	stderr, err := cmd.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	address := make(chan string, 1)
	var log bytes.Buffer
	var reading sync.WaitGroup
	reading.Go(func() {
		lines := bufio.NewScanner(stderr)
		for lines.Scan() {
			log.WriteString(lines.Text() + "\n")
			if m := listening.FindStringSubmatch(lines.Text()); m != nil {
				address <- m[1]
			}
		}
		close(address)
	})
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		reading.Wait()
		_ = cmd.Wait()
		if t.Failed() {
			t.Log(log.String())
		}
	})
	at, ok := <-address
	require.True(t, ok, "Alertmanager has not started")
	a.url = "http://" + at
	require.Eventually(t, func() bool {
		resp, err := http.Get(a.url + "/-/ready")
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	}, 20*time.Second, 20*time.Millisecond)
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	return a
}

// gettableAlert is an alert as Alertmanager shows it.
type gettableAlert struct {
	Labels, Annotations map[string]string
	StartsAt, EndsAt    time.Time
	GeneratorURL        string
	Fingerprint         string
	Status              struct {
		State      string
		SilencedBy []string
	}
}

// alerts returns the alerts that Alertmanager has, which are those that fire.
func (a *realAlertmanager) alerts(t *testing.T) []gettableAlert {
	t.Helper()
	resp, err := http.Get(a.url + "/api/v2/alerts")
	require.NoError(t, err)
	defer resp.Body.Close()
	require.Equal(t, http.StatusOK, resp.StatusCode)
	var out []gettableAlert
	require.NoError(t, json.NewDecoder(resp.Body).Decode(&out))
	return out
}

// silence silences a rule.
func (a *realAlertmanager) silence(t *testing.T, rule string) {
	t.Helper()
	now := time.Now().UTC()
	body, err := json.Marshal(map[string]any{
		"matchers": []any{map[string]any{"name": "aperture_rule_id", "value": rule, "isRegex": false, "isEqual": true}},
		"startsAt": now.Format(time.RFC3339Nano), "endsAt": now.Add(time.Hour).Format(time.RFC3339Nano),
		"createdBy": "test", "comment": "test",
	})
	require.NoError(t, err)
	resp, err := http.Post(a.url+"/api/v2/silences", "application/json", bytes.NewReader(body))
	require.NoError(t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, resp.StatusCode, "%s", text)
}

// notification is what Alertmanager tells its receivers.
type notification struct {
	Status string
	Alerts []struct {
		Status              string
		Labels, Annotations map[string]string
		GeneratorURL        string
	}
}

// notifications returns what Alertmanager has told so far of a rule, in order:
// "firing" or "resolved".
func (a *realAlertmanager) notifications(t *testing.T, rule string) []string {
	t.Helper()
	var out []string
	for _, r := range a.told.all() {
		var n notification
		require.NoError(t, json.Unmarshal(r.body, &n))
		for _, alert := range n.Alerts {
			if alert.Labels["aperture_rule_id"] == rule {
				out = append(out, alert.Status)
			}
		}
	}
	return out
}
