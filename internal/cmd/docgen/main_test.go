package main

import (
	"os"
	"path/filepath"
	"sort"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const root = "../../.."

// Every component has a page, and its table is what the code says.
func TestPagesAreUpToDate(t *testing.T) {
	require.NoError(t, run(root, true))
}

// The list of components is that of the folders.
func TestComponentsAreThoseOfTheFolders(t *testing.T) {
	var want []string
	for _, kind := range []string{"receiver", "processor", "exporter", "extension"} {
		dirs, err := filepath.Glob(filepath.Join(root, kind, "*", "metadata.yaml"))
		require.NoError(t, err)
		for _, d := range dirs {
			want = append(want, filepath.Base(filepath.Dir(d)))
		}
	}
	assert.Len(t, components(), len(want), "%v", want)
	var pages []string
	for _, c := range components() {
		pages = append(pages, c.Type().String()+".md")
	}
	entries, err := os.ReadDir(filepath.Join(root, "docs", "components"))
	require.NoError(t, err)
	var have []string
	for _, e := range entries {
		have = append(have, e.Name())
	}
	sort.Strings(pages)
	assert.Equal(t, pages, have)
}

func TestTable(t *testing.T) {
	type inner struct {
		Depth int `mapstructure:"depth"`
	}
	type cfg struct {
		Name  string `mapstructure:"name"`
		Inner inner  `mapstructure:"inner"`
		None  string
	}
	got, err := Table(root, &cfg{Name: "x", Inner: inner{3}})
	require.NoError(t, err)
	assert.Equal(t, "| key | default | what it does |\n|---|---|---|\n| `name` | `x` |  |\n| `inner::depth` | `3` |  |\n", got)
}

func TestReplaceNeedsMarkers(t *testing.T) {
	_, err := replace("no markers", "t")
	require.ErrorContains(t, err, "no line")
	got, err := replace("a\n"+begin+"\nold\n"+end+"\nb", "new\n")
	require.NoError(t, err)
	assert.Equal(t, "a\n"+begin+"\nnew\n"+end+"\nb", got)
}

func TestOneLine(t *testing.T) {
	assert.Equal(t, "How often a \\| b.", oneLine("Interval is how often\na | b.\n", "Interval"))
	assert.Equal(t, "Names the server.", oneLine("Server names the server.", "Server"))
	assert.Equal(t, "Other words.", oneLine("Other words.", "X"))
}
