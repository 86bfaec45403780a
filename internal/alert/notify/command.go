package notify

import (
	"net/url"
	"slices"
	"strings"

	"github.com/aperture-collector/aperture-collector/internal/alert"
)

// svgPath is where links of alerts on profiles lead to.
const svgPath = "/api/export/svg"

// flags are those of `aperturectl diff` that say what parameters of a link do.
var flags = map[string]string{
	"event_type": "type", "service": "service", "agent_id": "agent",
	"time_start_ns": "from", "time_end_ns": "to", "baseline_start_ns": "baseline-from", "baseline_end_ns": "baseline-to",
}

// command returns the command line that shows what the link of an event does. A
// link cannot say the tenant, which is a header. It is empty if the event has no
// such link.
func command(e *alert.Event) string {
	u, err := url.Parse(webURL(e.Link))
	if err != nil || !strings.HasSuffix(u.Path, svgPath) {
		return ""
	}
	values, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return ""
	}
	server := u.Scheme + "://" + u.Host + strings.TrimSuffix(u.Path, svgPath)
	args := []string{"--server=" + server, "--tenant=" + e.Key.Tenant}
	for name := range values {
		value := values.Get(name)
		if label, ok := strings.CutPrefix(name, "label."); ok {
			args = append(args, "--label="+label+"="+value)
		} else if flag := flags[name]; flag != "" {
			args = append(args, "--"+flag+"="+value)
		}
	}
	slices.Sort(args[2:])
	var line strings.Builder
	line.WriteString("aperturectl diff")
	for _, arg := range args {
		line.WriteString(" " + shellQuote(arg))
	}
	line.WriteString(" -o svg -f alert.svg")
	return line.String()
}

// shellQuote returns a word of a command line that a shell takes as it is: others
// have chosen what is in it.
func shellQuote(s string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_=.:/", r)
	}
	if strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
