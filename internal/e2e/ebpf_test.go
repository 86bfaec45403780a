package e2e

import (
	"crypto/sha256"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// busyEnv makes the test binary a program of known behaviour: half of its CPU
// time is spent below busyHalf, a third below busyThird, a sixth below busySixth.
const busyEnv = "APERTURE_E2E_BUSY"

func init() {
	if os.Getenv(busyEnv) == "" {
		return
	}
	var sum byte
	for end := time.Now().Add(10 * time.Minute); time.Now().Before(end); {
		sum += busyHalf() + busyThird() + busySixth()
	}
	fmt.Println(sum)
	os.Exit(0)
}

//go:noinline
func busyHalf() byte { return spin(600) }

//go:noinline
func busyThird() byte { return spin(400) }

//go:noinline
func busySixth() byte { return spin(200) }

//go:noinline
func spin(n int) byte {
	h := sha256.Sum256([]byte("seed"))
	for range n {
		h = sha256.Sum256(h[:])
	}
	return h[0]
}

// startBusy runs this test binary as the program of known behaviour, and returns
// its process id.
func startBusy(t *testing.T) int {
	t.Helper()
	exe, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), busyEnv+"=1", "OTEL_SERVICE_NAME=busy-program", "GOMAXPROCS=1")
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return cmd.Process.Pid
}

// A program of known functions shows up with its true shares.
func TestEBPFFindsABusyProgram(t *testing.T) {
	c := newCollector(t, "all-in-one.yaml")
	c.startReady()
	c.requireProfiles("cpu")
	startBusy(t)

	path := "/api/export/collapsed?" + url.Values{"service": {"busy-program"}}.Encode()
	var shares map[string]float64
	var total float64
	require.Eventually(t, func() bool {
		code, body := c.get(path)
		if code != http.StatusOK {
			return false
		}
		shares, total = sharesOf(t, string(body), "busyHalf", "busyThird", "busySixth")
		return total >= 1500
	}, 5*time.Minute, time.Second, "too few samples")
	t.Logf("%.0f samples, shares %v", total, shares)
	// Six standard deviations of the number of samples: 7.7 % of a half of 1500.
	for function, want := range map[string]float64{"busyHalf": 1.0 / 2, "busyThird": 1.0 / 3, "busySixth": 1.0 / 6} {
		assert.InDelta(t, 100*want, shares[function], 600*math.Sqrt(want*(1-want)/total), function)
	}
}

// sharesOf returns the per cent of samples whose stack has each function, and
// the number of all samples.
func sharesOf(t *testing.T, collapsed string, functions ...string) (map[string]float64, float64) {
	t.Helper()
	shares := make(map[string]float64)
	var total float64
	for line := range strings.Lines(collapsed) {
		line = strings.TrimSuffix(line, "\n")
		i := strings.LastIndexByte(line, ' ')
		require.Positive(t, i, "line %q", line)
		n, err := strconv.ParseFloat(line[i+1:], 64)
		require.NoError(t, err)
		total += n
		for _, f := range functions {
			if strings.Contains(line, "."+f+";") || strings.Contains(line, "."+f+" ") {
				shares[f] += n
			}
		}
	}
	for f := range shares {
		shares[f] *= 100 / total
	}
	return shares, total
}
