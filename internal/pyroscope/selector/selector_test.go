package selector

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/internal/profile"
	"github.com/aperture-collector/aperture-collector/internal/profilestore"
)

func TestParse(t *testing.T) {
	f := func(text string, want ...profilestore.Matcher) {
		t.Helper()
		list, err := Parse(text)
		require.NoError(t, err)
		var got []profilestore.Matcher
		for _, m := range list {
			got = append(got, ForStore(m, m.Name))
		}
		assert.Equal(t, want, got)
	}
	f(`{}`)
	f(`{a="x", b!="y", c=~"re", d!~"re",}`,
		profilestore.Matcher{Name: "a", Value: "x"},
		profilestore.Matcher{Name: "b", Value: "y", Op: profilestore.MatchNotEqual},
		profilestore.Matcher{Name: "c", Value: "re", Op: profilestore.MatchRegexp},
		profilestore.Matcher{Name: "d", Value: "re", Op: profilestore.MatchNotRegexp})
	f("{a='x',b=`y\\`}", profilestore.Matcher{Name: "a", Value: "x"}, profilestore.Matcher{Name: "b", Value: `y\`})
	f(`{"utf8.name"="x"}`, profilestore.Matcher{Name: "utf8.name", Value: "x"})
	f(`type:a:b:c:d{}`, profilestore.Matcher{Name: "__name__", Value: "type:a:b:c:d"})

	for _, bad := range []string{
		"", `a="b"`, `{a="b"`, `{a=b}`, `{a=~"("}`, `{a="b"} x`, "{a=\"\xff\"}", strings.Repeat("x", MaxLength+1), `{a="x"` + strings.Repeat(`,a="x"`, MaxMatchers) + `}`,
	} {
		_, err := Parse(bad)
		require.ErrorIs(t, err, profile.ErrInvalid, bad)
		assert.Less(t, len(err.Error()), 1000)
	}
}

func TestParseQuery(t *testing.T) {
	const id = "process_cpu:cpu:nanoseconds:cpu:nanoseconds"
	f := func(text string, matchers int) {
		t.Helper()
		q, err := ParseQuery(text)
		require.NoError(t, err)
		assert.Equal(t, id, q.Type.String())
		assert.Len(t, q.Matchers, matchers)
	}
	f(id+`{service_name="a"}`, 1)
	f(id+` {}`, 0)
	f(id, 0)
	f(id+":delta{}", 0)
	f(`{__profile_type__="`+id+`",a="b"}`, 1)
	f(`{a="b",__name__="`+id+`"}`, 1)

	bad := func(text, want string) {
		t.Helper()
		_, err := ParseQuery(text)
		require.ErrorIs(t, err, profile.ErrInvalid)
		assert.Contains(t, err.Error(), want)
	}
	bad("", `"query" is required`)
	bad("{", `failed to parse "query"`)
	bad(`{a="b"}`, `"query" must contain a profile-type selection`)
	bad("memory{}", "found 1 parts between colons")
	bad("a:b:c:d:e:f{}", "found 6 parts between colons")
	bad("::::{}", "must not be empty")
}

func TestTypeLabel(t *testing.T) {
	id, err := ParseTypeID("memory:inuse_space:bytes:space:kb")
	require.NoError(t, err)
	want := map[string]string{
		"__name__": "memory", "__type__": "inuse_space", "__unit__": "bytes", "__period_type__": "space", "__period_unit__": "kb",
		"__profile_type__": "memory:inuse_space:bytes:space:kb",
	}
	for _, name := range TypeLabels {
		assert.Equal(t, want[name], TypeLabel(id, name))
	}
	assert.Len(t, TypeLabels, len(want))
	assert.Empty(t, TypeLabel(id, "service_name"))
}

func TestParseTime(t *testing.T) {
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	const day = 24 * time.Hour
	for text, want := range map[string]time.Time{
		"20231223":            time.Date(2023, 12, 23, 0, 0, 0, 0, time.UTC),
		"20231399":            time.Unix(20231399, 0), // no date
		"1577836800":          time.Unix(1577836800, 0),
		"1577836800123":       time.UnixMilli(1577836800123),
		"1577836800123456":    time.UnixMicro(1577836800123456),
		"1577836800123456789": time.Unix(0, 1577836800123456789),
		"0":                   time.Unix(0, 0),
		"now":                 now,
		"now-3h":              now.Add(-3 * time.Hour),
		"now-30m":             now.Add(-30 * time.Minute),
		"now-30min":           now.Add(-30 * time.Minute),
		"now-15s":             now.Add(-15 * time.Second),
		"now+1d":              now.Add(day),
		"now-7d":              now.Add(-7 * day),
		"now-1w":              now.Add(-7 * day),
		"now-1M":              now.Add(-30 * day),
		"now-2mon":            now.Add(-60 * day),
		"now-1y":              now.Add(-365 * day),
		"now-3h30m":           now.Add(-3*time.Hour - 30*time.Minute),
		"now-3h+30m":          now.Add(-3*time.Hour + 30*time.Minute),
		" now_-_1,h":          now.Add(-time.Hour),
	} {
		assert.True(t, want.Equal(ParseTime(text, now)), "%s: %s", text, ParseTime(text, now))
	}
	for _, text := range []string{"", "yesterday", "now-", "now-3", "now-3q", "now3h", "now-h", "12x", "now-999999999999999y", "now-99y-99y", "99999999999999999999999", "123456789012", strings.Repeat("1", 100)} {
		got := ParseTime(text, now)
		if text != "123456789012" { // seconds of the year 5881
			assert.Equal(t, now, got, text)
		}
	}
}

func FuzzParseQuery(f *testing.F) {
	f.Add(`process_cpu:cpu:nanoseconds:cpu:nanoseconds{a="b",c=~"d.*"}`)
	f.Add(`{__profile_type__="a:b:c:d:e"}`)
	f.Fuzz(func(t *testing.T, text string) {
		q, err := ParseQuery(text)
		if err != nil {
			require.ErrorIs(t, err, profile.ErrInvalid)
			return
		}
		again, err := ParseTypeID(q.Type.String())
		require.NoError(t, err)
		require.Equal(t, q.Type, again)
		for _, m := range q.Matchers {
			m.Matches(m.Value)
		}
	})
}

func FuzzParseTime(f *testing.F) {
	for _, text := range []string{"now-3h30m", "20231223", "1577836800123"} {
		f.Add(text)
	}
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, text string) {
		got := ParseTime(text, now)
		require.LessOrEqual(t, got.Unix(), int64(1<<38))
		require.GreaterOrEqual(t, got.Unix(), int64(-1<<38))
	})
}
