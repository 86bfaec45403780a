package notify

import (
	"os/exec"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/internal/alert"
)

func TestCommand(t *testing.T) {
	const base = "https://profiles.example.com/base/api/export/svg?"
	for link, want := range map[string]string{
		base + "event_type=cpu&service=shop&time_start_ns=3&time_end_ns=4&baseline_start_ns=1&baseline_end_ns=2": "aperturectl diff --server=https://profiles.example.com/base --tenant=acme " +
			"--baseline-from=1 --baseline-to=2 --from=3 --service=shop --to=4 --type=cpu -o svg -f alert.svg",
		base + "agent_id=a&label.zone=b+c&x=y": "aperturectl diff --server=https://profiles.example.com/base --tenant=acme --agent=a '--label=zone=b c' -o svg -f alert.svg",
		"/api/export/svg?service=shop":         "",
		"https://example.com/elsewhere":        "",
		"":                                     "",
		base + "service=%zz":                   "",
	} {
		assert.Equal(t, want, command(&alert.Event{Key: alert.Key{Tenant: "acme"}, Link: link}), link)
	}
}

// What somebody puts into a rule is no command for who pastes it.
func TestHostileCommands(t *testing.T) {
	for _, value := range []string{"'; echo owned; '", "$(echo owned)", "`echo owned`", "a\necho owned", `\'; echo owned #`, "é !! *", ""} {
		out, err := exec.Command("sh", "-c", "printf %s "+shellQuote("--service="+value)).Output()
		require.NoError(t, err)
		assert.Equal(t, "--service="+value, string(out))
	}
}
