package export

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// dumpDOM opens a flame graph in a real browser and returns what it is like after
// its scripts have run.
func dumpDOM(t *testing.T, p *Profile, more, policy string) string {
	t.Helper()
	var svg bytes.Buffer
	require.NoError(t, WriteSVG(&svg, p, SVGOptions{Title: "Test", Width: 1200}))
	return dumpSVG(t, svg.String(), more, policy)
}

func dumpSVG(t *testing.T, text, more, policy string) string {
	t.Helper()
	browser := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			browser = path
			break
		}
	}
	if browser == "" {
		t.Skip("needs Chromium")
	}
	text = strings.Replace(text, "\n</svg>", "\n"+more+"</svg>", 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "image/svg+xml")
		if policy != "" {
			w.Header().Set("Content-Security-Policy", policy)
		}
		_, _ = w.Write([]byte(text))
	}))
	defer server.Close()
	cmd := exec.CommandContext(t.Context(), browser, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
		"--disable-background-networking", "--user-data-dir="+t.TempDir(), "--dump-dom", server.URL)
	cmd.WaitDelay = 10 * time.Second
	out, err := cmd.Output()
	require.NoError(t, err)
	return string(out)
}

// browserHelpers are for the scripts of tests.
const browserHelpers = `
var svg = document.documentElement;
function note(name, value) { svg.setAttribute("data-test-" + name, value); }
function frame(name) {
  return Array.from(document.querySelectorAll("#plot g")).find(function (g) {
    return g.querySelector("title").textContent.startsWith(name + " (");
  });
}
function click(e) { e.dispatchEvent(new MouseEvent("click", {bubbles: true})); }
`

// outcome is what the test's own script leaves behind.
func outcome(t *testing.T, dom string) map[string]string {
	t.Helper()
	all := make(map[string]string)
	for _, m := range regexp.MustCompile(`data-test-([a-z-]+)="([^"]*)"`).FindAllStringSubmatch(dom, -1) {
		all[m[1]] = m[2]
	}
	return all
}

func TestSVGInBrowser(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a browser")
	}
	p := sampleProfile()
	script := `<script><![CDATA[` + browserHelpers + `
		function width(name) {
			var g = frame(name);
			return g.style.display === "none" ? "hidden" : Math.round(g.querySelector("rect").getAttribute("width"));
		}
		note("before", [width("all"), width("outer"), width("a;b")]);
		click(frame("a;b").querySelector("rect"));
		note("zoomed", [width("all"), width("outer"), width("a;b"), frame("all").classList.contains("faded")]);
		note("label", frame("</title><script>alert(1)</scr" + "ipt>").querySelector("text").textContent);
		click(document.getElementById("reset"));
		note("reset", [width("all"), width("outer"), width("a;b"), frame("all").classList.contains("faded")]);
		window.prompt = function () { return "OUTER|^a;b$"; };
		click(document.getElementById("search"));
		note("hits", document.querySelectorAll("#plot .hit").length);
		note("matched", document.getElementById("matched").textContent);
		click(document.getElementById("search"));
		note("unmatched", document.querySelectorAll("#plot .hit").length + document.getElementById("matched").textContent);
		window.prompt = function () { return "("; };
		click(document.getElementById("search"));
		note("bad", document.getElementById("details").textContent.slice(0, 7));
		frame("inner").querySelector("rect").dispatchEvent(new MouseEvent("mouseover", {bubbles: true}));
		note("details", document.getElementById("details").textContent);
	]]></script>`
	script = strings.ReplaceAll(script, "\n\t\t", "\n")
	got := outcome(t, dumpDOM(t, p, script, ""))
	assert.Equal(t, map[string]string{
		"before":    "1180,1073,107",
		"zoomed":    "1180,hidden,1180,true",
		"label":     "&lt;/title&gt;&lt;script&gt;alert(1)&lt;/script&gt;",
		"reset":     "1180,1073,107,false",
		"hits":      "2",
		"matched":   "Matched: 100.00%",
		"unmatched": "0",
		"bad":       "Search:",
		"details":   "inner (1 µs, 90.91%)",
	}, got)
}

// With the policy, the graph's own script runs and another one does not.
func TestSVGPolicyInBrowser(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a browser")
	}
	dom := dumpDOM(t, sampleProfile(), `<script>document.documentElement.setAttribute("data-test-evil", "1")</script>`, SVGPolicy)
	assert.Regexp(t, `<svg[^>]*class="scripted"`, dom)
	assert.Empty(t, outcome(t, dom), fmt.Sprint(len(dom)))
}
