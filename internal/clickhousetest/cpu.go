package clickhousetest

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

// CPU reports the processor time of a benchmark's operations here and in
// ClickHouse: unlike the time that passed, it hardly depends on what else the
// machine does. The server's time includes merges of what was stored before.
type CPU struct {
	tb      testing.TB
	servers []*chserver.Server
	own     time.Duration
	theirs  time.Duration
}

// StartCPU begins to measure. ClickHouse is all of the servers together.
func StartCPU(tb testing.TB, servers ...*chserver.Server) *CPU {
	c := &CPU{tb: tb, servers: servers}
	c.own, c.theirs = c.read()
	return c
}

func (c *CPU) read() (own, theirs time.Duration) {
	var r syscall.Rusage
	require.NoError(c.tb, syscall.Getrusage(syscall.RUSAGE_SELF, &r))
	own = time.Duration(r.Utime.Nano() + r.Stime.Nano())
	for _, server := range c.servers {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", server.PID()))
		require.NoError(c.tb, err)
		// Fields 14 and 15 (proc(5)), counted from behind the name in parentheses, in
		// ticks of 10 ms.
		fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
		for _, f := range fields[11:13] {
			n, err := strconv.Atoi(f)
			require.NoError(c.tb, err)
			theirs += time.Duration(n) * 10 * time.Millisecond
		}
	}
	return own, theirs
}

// Used returns the time since StartCPU.
func (c *CPU) Used() (own, theirs time.Duration) {
	own, theirs = c.read()
	return own - c.own, theirs - c.theirs
}

// Report adds the time per operation to the results of b.
func (c *CPU) Report(b *testing.B) {
	own, theirs := c.Used()
	b.ReportMetric(float64(own)/float64(b.N)/1e6, "own-ms/op")
	b.ReportMetric(float64(theirs)/float64(b.N)/1e6, "server-ms/op")
}
