package integration

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/internal/chserver"
)

// cpu reports the processor time of a benchmark's operations here and in
// ClickHouse: unlike the time that passed, it hardly depends on what else the
// machine does. The server's time includes merges of what was stored before.
type cpu struct {
	tb     testing.TB
	server *chserver.Server
	own    time.Duration
	theirs time.Duration
}

func startCPU(tb testing.TB, server *chserver.Server) *cpu {
	c := &cpu{tb: tb, server: server}
	c.own, c.theirs = c.read()
	return c
}

func (c *cpu) read() (own, theirs time.Duration) {
	var r syscall.Rusage
	require.NoError(c.tb, syscall.Getrusage(syscall.RUSAGE_SELF, &r))
	own = time.Duration(r.Utime.Nano() + r.Stime.Nano())
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", c.server.PID()))
	require.NoError(c.tb, err)
	// Fields 14 and 15 (proc(5)), counted from behind the name in parentheses, in
	// ticks of 10 ms.
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	for _, f := range fields[11:13] {
		n, err := strconv.Atoi(f)
		require.NoError(c.tb, err)
		theirs += time.Duration(n) * 10 * time.Millisecond
	}
	return own, theirs
}

func (c *cpu) report(b *testing.B) {
	own, theirs := c.read()
	b.ReportMetric(float64(own-c.own)/float64(b.N)/1e6, "own-ms/op")
	b.ReportMetric(float64(theirs-c.theirs)/float64(b.N)/1e6, "server-ms/op")
}
