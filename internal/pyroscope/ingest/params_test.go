package ingest

import (
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestParseName(t *testing.T) {
	f := func(text, application string, labels ...Label) {
		t.Helper()
		gotName, gotLabels, err := parseName(text)
		require.NoError(t, err, text)
		assert.Equal(t, application, gotName)
		assert.Equal(t, labels, gotLabels)
	}
	f("app", "app")
	f("app{}", "app")
	f(" my.awesome-app/x_1.cpu { env = staging , region=us-west-1 } ", "my.awesome-app/x_1.cpu", Label{"env", "staging"}, Label{"region", "us-west-1"})
	f(`app{a="b"}`, "app", Label{"a", `"b"`})
	f("app{a=1,b=2,a=3}", "app", Label{"a", "3"}, Label{"b", "2"})
	f("app{foo=bar", "app", Label{"foo", "bar"})
	f("app{__name__=other}", "other", Label{"__name__", "other"})
	f("{__name__=other}", "other", Label{"__name__", "other"})
	f("app{a=,b=x=y}", "app", Label{"a", ""}, Label{"b", "x=y"})
	f("app{otel.scope.name=com.grafana.pyroscope/go,__session_id__=1}", "app", Label{"otel.scope.name", "com.grafana.pyroscope/go"}, Label{"__session_id__", "1"})

	bad := func(text, want string) {
		t.Helper()
		_, _, err := parseName(text)
		require.EqualError(t, err, want)
		require.ErrorIs(t, err, ErrInvalid)
	}
	bad("", "name: service name is required")
	bad("{a=b}", "name: service name is required")
	bad("a b", "name: invalid service name: a b: character is not allowed: ' '")
	bad("ä", "name: invalid service name: ä: character is not allowed: 'ä'")
	bad("a{=b}", "name: label key is required")
	bad("a{b}", "name: label b has no value")
	bad("a{b c=d}", "name: invalid label key: b c: character is not allowed: ' '")
	bad("a{b=\xff}", "name: labels are not valid UTF-8")
}

func TestParseParams(t *testing.T) {
	f := func(query, contentType string, want Params) {
		t.Helper()
		values, err := url.ParseQuery(query)
		require.NoError(t, err)
		got, err := ParseParams(values, contentType, now)
		require.NoError(t, err)
		assert.True(t, want.From.Equal(got.From), got.From)
		assert.True(t, want.Until.Equal(got.Until), got.Until)
		got.From, got.Until = want.From, want.Until
		assert.Equal(t, want, *got)
	}
	of := func(change func(*Params)) Params {
		p := Params{Application: "a", From: now, Until: now, Format: Folded, SampleRate: 100, Spy: "unknown"}
		change(&p)
		return p
	}
	f("name=a", "", of(func(*Params) {}))
	f("name=a&units=bytes&aggregationType=average&aggregrationType=sum", "text/plain", of(func(*Params) {}))
	f("name=a&format=nonsense&sampleRate=fast&from=now&until=x", "no;type", of(func(*Params) {}))
	f("name=a&sampleRate=0&spyName=gospy", "", of(func(p *Params) { p.SampleRate, p.Spy = 0, "gospy" }))
	f("name=a&from=1600000000&until=1600000010123", "", of(func(p *Params) { p.From, p.Until = time.Unix(1600000000, 0), time.UnixMilli(1600000010123) }))
	f("name=a&from=1600000000123456&until=1600000010123456789", "", of(func(p *Params) {
		p.From, p.Until = time.UnixMicro(1600000000123456), time.Unix(0, 1600000010123456789)
	}))
	for _, format := range []Format{JFR, Pprof, Speedscope, Trie, Tree, Lines} {
		f("name=a&format="+string(format), "binary/octet-stream+tree", of(func(p *Params) { p.Format = format }))
	}
	f("name=a", "binary/octet-stream+trie", of(func(p *Params) { p.Format = Trie }))
	f("name=a", "Binary/octet-stream+tree; x=y", of(func(p *Params) { p.Format = Tree }))
	f("name=a", "multipart/form-data; boundary=b", of(func(p *Params) { p.Format, p.Multipart, p.Boundary = Pprof, true, "b" }))
	f("name=a&format=jfr", "multipart/form-data; boundary=b", of(func(p *Params) { p.Format, p.Multipart, p.Boundary = JFR, true, "b" }))
}
