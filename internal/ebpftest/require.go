package ebpftest

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/aperture-collector/aperture-collector/bpf"
)

// RequiredEnv turns a skip of [Require] into a failure when it is set to 1, so
// that on machines which are known to have BPF a regression cannot hide.
const RequiredEnv = "EBPF_REQUIRED"

var summary struct {
	sync.Mutex
	run, skipped int
	why          string
}

// probe loads the actual program and waits for a sample, once per process.
// Feature probes are of no use: what they say and what loads differ.
var probe = sync.OnceValue(func() error {
	h, err := bpf.Open(bpf.Options{MaxEntries: 128, MaxChunks: 1})
	if err != nil {
		return err
	}
	defer func() { _ = h.Close() }()
	c, err := h.StartCPU(99)
	if err != nil {
		return err
	}
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); {
		for range 1 << 20 { // be busy: idle processors may not tick
			continue
		}
		s, err := c.Stats()
		if err != nil {
			return err
		}
		if s[bpf.Runs] > s[bpf.Idle] {
			return nil
		}
	}
	return errors.New("the program loads and attaches, but saw no sample in 10 s")
})

// Require skips the test, or fails it if [RequiredEnv] is 1, when the CPU
// program does not run on this machine.
func Require(tb testing.TB) {
	tb.Helper()
	err := probe()
	if err == nil {
		summary.Lock()
		defer summary.Unlock()
		summary.run++
		return
	}
	skipped(err)
	if os.Getenv(RequiredEnv) == "1" {
		tb.Fatalf("%s=1, but eBPF is not available: %v", RequiredEnv, err)
	}
	tb.Skipf("eBPF is not available: %v", err)
}

// skipped counts a test that does not run.
func skipped(why error) {
	summary.Lock()
	defer summary.Unlock()
	summary.skipped++
	summary.why = why.Error()
}

// Main is the TestMain of packages with eBPF tests: it turns the test binary
// into a workload when it was started as one, looks for leaked goroutines and
// prints how many eBPF tests ran.
func Main(m *testing.M) {
	RunWorkload()
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		fmt.Println(Summary())
		os.Exit(code)
	}))
}

// Summary says how many eBPF tests ran and why others did not.
func Summary() string {
	summary.Lock()
	defer summary.Unlock()
	why := ""
	if summary.why != "" {
		why = " (" + summary.why + ")"
	}
	return fmt.Sprintf("eBPF tests: %d run, %d skipped%s", summary.run, summary.skipped, why)
}
