package lint

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// leakChecks are the ways in which a package looks for goroutines that its tests
// left behind.
var leakChecks = [][]byte{
	[]byte("goleak.VerifyTestMain("), []byte("clickhousetest.Main("), []byte("ebpftest.Main("),
}

// Every package with tests of ours looks for leaked goroutines.
func TestEveryPackageLooksForLeaks(t *testing.T) {
	checked := make(map[string]bool)
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "dist" || d.Name() == ".git" || d.Name() == "metadata" || d.Name() == "metadatatest") {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(path, "_test.go") {
			return nil
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		dir := filepath.Dir(path)
		for _, c := range leakChecks {
			checked[dir] = checked[dir] || bytes.Contains(b, c)
		}
		return nil
	})
	require.NoError(t, err)
	require.NotEmpty(t, checked)
	for dir, ok := range checked {
		if !ok {
			t.Errorf("%s has tests but no TestMain that looks for leaked goroutines", dir)
		}
	}
}
