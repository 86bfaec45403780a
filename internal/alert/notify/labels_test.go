package notify

import (
	"maps"
	"regexp"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestSetLabelsIsStable(t *testing.T) {
	pairs := map[string]string{"a.b": "1", "a-b": "2", "a_b": "3", "exported_a_b": "4", "": "5", "_": "6"}
	want := map[string]string{
		"a_b": "3", "exported_a_b": "4", "exported_exported_a_b": "2", "exported_exported_exported_a_b": "1",
		"_": "6", "exported__": "5",
	}
	for range 100 { // orders of the map
		got := map[string]string{}
		setLabels(got, pairs)
		require.Equal(t, want, got)
	}
}

func FuzzSetLabels(f *testing.F) {
	f.Add("a.b", "a-b", "\xff")
	f.Add("alertname", "", "0")
	valid := regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_]*$`)
	f.Fuzz(func(t *testing.T, a, b, value string) {
		labels := map[string]string{"alertname": "rule"}
		pairs := map[string]string{a: value, b: "b"}
		setLabels(labels, pairs)
		for name, value := range labels {
			require.Regexp(t, valid, name)
			require.True(t, utf8.ValidString(value) && value != "")
		}
		assert.Equal(t, "rule", labels["alertname"])
		empty := 0
		for v := range maps.Values(pairs) {
			if v == "" {
				empty++
			}
		}
		assert.Len(t, labels, 1+len(pairs)-empty, "none takes the place of another")
	})
}
