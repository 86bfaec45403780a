package aperturereceiver

import (
	"encoding/hex"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// examples returns the payloads of real agents that the decoder is tested with,
// by name, and "mixed": one event of each kind in one message.
func examples(tb testing.TB) map[string][]byte {
	tb.Helper()
	text, err := os.ReadFile("../../internal/aperturewire/testdata/examples.txt")
	require.NoError(tb, err)
	all := make(map[string][]byte)
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		f := strings.Fields(line)
		all[f[0]], err = hex.DecodeString(strings.Join(f[2:], ""))
		require.NoError(tb, err, f[0])
	}
	const header = 20
	mixed, err := hex.DecodeString("01000000" + "0500000000000000" + "0400000000000000")
	require.NoError(tb, err)
	for _, name := range []string{"cpu_symbols", "lock_symbols", "syscall", "gpu"} {
		mixed = append(mixed, all[name][header:]...)
	}
	all["mixed"] = mixed
	return all
}
