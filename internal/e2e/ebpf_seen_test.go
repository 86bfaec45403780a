package e2e

import (
	"encoding/json"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/stretchr/testify/require"
)

// requireProfiles skips the test where this kernel, or these rights, do not allow
// the kinds of profiles; with EBPF_REQUIRED=1 it fails.
func (c *collector) requireProfiles(kinds ...string) {
	c.tb.Helper()
	for _, kind := range kinds {
		active := regexp.MustCompile(`(?m)^otelcol_receiver_ebpf_profiling_active\{[^}]*profile="` + kind + `"[^}]*\} ([01])$`)
		var text []byte
		var found [][]byte
		require.Eventually(c.tb, func() bool {
			_, text = c.get("/metrics")
			found = active.FindSubmatch(text)
			return found != nil
		}, 2*time.Minute, 100*time.Millisecond, "no telemetry of the profile %s", kind)
		switch {
		case string(found[1]) == "1":
		case os.Getenv("EBPF_REQUIRED") == "1":
			c.tb.Fatalf("EBPF_REQUIRED=1, but: %s\n%s", found[0], c.tail())
		default:
			c.tb.Skipf("eBPF is not available: %s", found[0])
		}
	}
}

// seen is a stack of a process in an answer of the API.
type seen struct {
	frames []string // as the API orders them: of the process, leaf first, then of the kernel
	count  uint64
	waitNS uint64
}

// has reports whether the functions are on the stack in this order, other frames
// between them allowed. Names of C++ and Go functions match by their last part.
func (s *seen) has(functions ...string) bool {
	i := 0
	for _, f := range s.frames {
		if i < len(functions) && (f == functions[i] || strings.HasSuffix(f, "."+functions[i])) {
			i++
		}
	}
	return i == len(functions)
}

// seen asks for the stacks of one kind in a process.
func (c *collector) seen(kind string, pid int) []seen {
	c.tb.Helper()
	code, _, body := c.request(http.MethodPost, "/api/aggregate", "", map[string]any{
		"event_type": kind, "labels": map[string]string{"process.pid": strconv.Itoa(pid)}, "limit": 100000,
	})
	if code != http.StatusOK {
		return nil // ClickHouse is not up yet
	}
	type row struct {
		Stack       stack  `json:"stack"`
		Count       uint64 `json:"count"`
		TotalWaitNS uint64 `json:"total_wait_ns"`
	}
	type rows struct {
		Stacks      []row `json:"stacks"`
		Contentions []row `json:"contentions"`
	}
	var answer struct {
		CPU    rows `json:"cpu"`
		Lock   rows `json:"lock"`
		OffCPU rows `json:"off_cpu"`
	}
	require.NoError(c.tb, json.Unmarshal(body, &answer), "%s", body)
	var all []seen
	for _, r := range slices.Concat(answer.CPU.Stacks, answer.Lock.Contentions, answer.OffCPU.Stacks) {
		s := seen{count: r.Count, waitNS: r.TotalWaitNS}
		for _, f := range r.Stack.Frames {
			name := ""
			if f.Function != nil {
				name = *f.Function
			}
			s.frames = append(s.frames, name)
		}
		all = append(all, s)
	}
	return all
}

// waited sums the waits of a process below the functions.
func waited(all []seen, functions ...string) (count, ns uint64) {
	for i := range all {
		if s := &all[i]; s.has(functions...) {
			count += s.count
			ns += s.waitNS
		}
	}
	return count, ns
}

// eventuallySeen waits until a stack of a process has the functions in this order.
func (c *collector) eventuallySeen(kind string, pid int, functions ...string) {
	c.tb.Helper()
	var all []seen
	require.Eventually(c.tb, func() bool {
		all = c.seen(kind, pid)
		return slices.ContainsFunc(all, func(s seen) bool { return s.has(functions...) })
	}, 2*time.Minute, time.Second, "no %s stack of process %d with %q, but %v", kind, pid, functions, lazyStacks{&all})
}

// lazyStacks prints some stacks when a failure is printed.
type lazyStacks struct{ all *[]seen }

func (l lazyStacks) String() string {
	var b strings.Builder
	for i, s := range *l.all {
		if i == 20 {
			b.WriteString("\n…")
			break
		}
		b.WriteString("\n" + strconv.FormatUint(s.count, 10) + " " + strings.Join(s.frames, ";"))
	}
	return b.String()
}

// syscallsOf asks for the system calls of a process by name.
func (c *collector) syscallsOf(pid int) map[string]syscallStat {
	c.tb.Helper()
	code, _, body := c.request(http.MethodPost, "/api/aggregate", "", map[string]any{
		"event_type": "syscall", "labels": map[string]string{"process.pid": strconv.Itoa(pid)}, "limit": 1000,
	})
	if code != http.StatusOK {
		return nil
	}
	var a aggregate
	require.NoError(c.tb, json.Unmarshal(body, &a), "%s", body)
	stats := make(map[string]syscallStat)
	if a.Syscall != nil {
		for _, s := range a.Syscall.Syscalls {
			stats[s.Name] = s
		}
	}
	return stats
}
