package apertureapiextension

import (
	"encoding/xml"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/internal/export"
)

// svgTotals are the values of frames by the text of their titles up to ` (`.
func svgTotals(t *testing.T, body string) map[string]string {
	t.Helper()
	var doc struct {
		Groups []struct {
			Frames []struct {
				Value string `xml:"data-v,attr"`
				Title string `xml:"title"`
			} `xml:"g"`
		} `xml:"g"`
	}
	require.NoError(t, xml.Unmarshal([]byte(body), &doc), body)
	require.Len(t, doc.Groups, 1)
	totals := make(map[string]string)
	for _, f := range doc.Groups[0].Frames {
		totals[f.Title[:strings.LastIndex(f.Title, " (")]] = f.Value
	}
	return totals
}

// checkSVG expects exportProfiles in the store.
func checkSVG(t *testing.T, f *fixture, tenant string) {
	resp, body := f.do(t, http.MethodGet, "/api/export/svg", "", "X-Scope-OrgID", tenant)
	assert.Equal(t, "image/svg+xml", resp.Header.Get("Content-Type"))
	assert.Equal(t, `inline; filename="aperture-cpu.svg"`, resp.Header.Get("Content-Disposition"))
	assert.Equal(t, export.SVGPolicy, resp.Header.Get("Content-Security-Policy"))
	evil := strings.ReplaceAll(hostileName, "\x00", "\ufffd")
	assert.Equal(t, map[string]string{
		"all": "180", "main": "180", "work": "150", "inlined": "150", "do_syscall_64": "50", "0x404000": "10", evil: "20",
	}, svgTotals(t, body))
	assert.Contains(t, body, ">CPU flame graph</text>")
	assert.Contains(t, body, "7 samples came without a stack")
	lock := f.get(t, "/api/export/svg?event_type=lock&service=exported", "X-Scope-OrgID", tenant)
	assert.Equal(t, "653", svgTotals(t, lock)["all"])
	assert.Contains(t, lock, ">lock flame graph of exported</text>")
}

func TestExportSVG(t *testing.T) {
	f := start(t, options{store: newMemoryStore()})
	f.storeProfiles(t, "anonymous", exportProfiles(exportStart, 1))
	checkSVG(t, f, "anonymous")

	title := `<b>"x" & y</b>` + "\xff\n"
	resp, body := f.do(t, http.MethodGet, "/api/export/svg?width=300&download&title="+url.QueryEscape(title), "")
	assert.Equal(t, `attachment; filename="aperture-cpu.svg"`, resp.Header.Get("Content-Disposition"))
	assert.Contains(t, body, `>&lt;b&gt;&#34;x&#34; &amp; y&lt;/b&gt;`+"\ufffd&#xA;<")
	assert.Contains(t, body, `width="300"`)
	for query, want := range map[string]string{
		"width=299":                           "invalid `width`: it is 299; it must be from 300 to 10000 pixels",
		"width=10001":                         "invalid `width`: it is 10001",
		"width=x":                             "invalid `width`",
		"width=1e3":                           "invalid `width`",
		"width=400&width=500":                 "invalid `width`: it is there 2 times",
		"download=perhaps":                    "invalid `download`: it is \"perhaps\"",
		"title=" + strings.Repeat("x", 1025):  "invalid `title`: it is 1025 bytes long; the limit is 1024",
		"title=a&title=b":                     "invalid `title`",
		"event_type=lock&time_start_ns=-1":    "invalid `time_start_ns`",
		"download=1&event_type=of+no+profile": "invalid `event_type`",
	} {
		resp, body := f.do(t, http.MethodGet, "/api/export/svg?"+query, "")
		assert.Equal(t, http.StatusBadRequest, resp.StatusCode, query)
		assert.Contains(t, errorOf(t, body), want, query)
	}
}
