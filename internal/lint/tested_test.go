package lint

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var testReference = regexp.MustCompile("`(Test\\w+)` \\(([\\w/]+_test\\.go)\\)")

// The tests that docs/aperture-api.md says prove the API are there, and every row
// names one.
func TestTestsOfTheAPIExist(t *testing.T) {
	text, err := os.ReadFile("../../docs/aperture-api.md")
	require.NoError(t, err)
	_, table, found := strings.Cut(string(text), "\n## Where it is tested\n")
	require.True(t, found)
	rows := 0
	for line := range strings.Lines(table) {
		if !strings.HasPrefix(line, "| ") || strings.HasPrefix(line, "| **") || strings.HasPrefix(line, "| what ") {
			continue
		}
		rows++
		references := testReference.FindAllStringSubmatch(line, -1)
		assert.NotEmpty(t, references, line)
		for _, r := range references {
			source, err := os.ReadFile(filepath.Join("../..", r[2]))
			if assert.NoError(t, err, line) {
				assert.Contains(t, string(source), "func "+r[1]+"(", "%s has no %s", r[2], r[1])
			}
		}
	}
	assert.Greater(t, rows, 40)
}
