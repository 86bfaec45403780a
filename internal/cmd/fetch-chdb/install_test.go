package main

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const content = "not really a library\n"

// newRelease has npm pack a folder with the given files, and returns the release
// that pins the result. npm packs a folder to the same bytes every time.
func newRelease(t *testing.T, files map[string]string) release {
	t.Helper()
	if _, err := exec.LookPath("npm"); err != nil {
		t.Skip("npm is not installed; it is only needed to fetch the library")
	}
	dir := t.TempDir()
	for name, text := range files {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	packed, err := npmPack(t.Context(), dir, t.TempDir())
	require.NoError(t, err)
	raw, err := os.ReadFile(packed)
	require.NoError(t, err)
	sum := sha512.Sum512(raw)
	library := sha256.Sum256([]byte(content))
	return release{
		spec:          dir,
		integrity:     "sha512-" + base64.StdEncoding.EncodeToString(sum[:]),
		librarySHA256: hex.EncodeToString(library[:]),
	}
}

func newLibraryRelease(t *testing.T) release {
	return newRelease(t, map[string]string{
		"package.json": `{"name": "lib", "version": "1.0.0"}`,
		"libchdb.so":   content,
	})
}

func TestInstall(t *testing.T) {
	r := newLibraryRelease(t)
	cache, out := filepath.Join(t.TempDir(), "cache"), filepath.Join(t.TempDir(), "lib", "libchdb.so")

	require.NoError(t, install(t.Context(), r, cache, out))
	got, err := os.ReadFile(out)
	require.NoError(t, err)
	assert.Equal(t, content, string(got))
	before, err := os.Stat(out)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o755), before.Mode().Perm())

	t.Run("again does nothing", func(t *testing.T) {
		t.Setenv("PATH", "") // no npm
		require.NoError(t, install(t.Context(), r, cache, out))
		after, err := os.Stat(out)
		require.NoError(t, err)
		assert.True(t, os.SameFile(before, after))
	})
	t.Run("damaged library is replaced out of the cache", func(t *testing.T) {
		t.Setenv("PATH", "")
		require.NoError(t, os.WriteFile(out, []byte(content[1:]), 0o600))
		require.NoError(t, install(t.Context(), r, cache, out))
		got, err := os.ReadFile(out)
		require.NoError(t, err)
		assert.Equal(t, content, string(got))
	})
	t.Run("damaged cache is fetched again", func(t *testing.T) {
		packages, err := filepath.Glob(filepath.Join(cache, "*.tgz"))
		require.NoError(t, err)
		require.Len(t, packages, 1)
		require.NoError(t, os.Truncate(packages[0], 10))
		require.NoError(t, os.Remove(out))
		require.NoError(t, install(t.Context(), r, cache, out))
		require.FileExists(t, out)
	})
	left, err := os.ReadDir(cache)
	require.NoError(t, err)
	assert.Len(t, left, 1, "nothing but the package stays in the cache")
}

func TestInstallRefuses(t *testing.T) {
	good := newLibraryRelease(t)
	noLibrary := newRelease(t, map[string]string{"package.json": `{"name": "lib", "version": "1.0.0"}`, "index.js": ""})
	other := sha512.Sum512([]byte("other"))
	for name, test := range map[string]struct {
		change func(*release)
		from   release
		want   string
	}{
		"other package":    {from: good, change: func(r *release) { r.integrity = "sha512-" + base64.StdEncoding.EncodeToString(other[:]) }, want: "pinned is"},
		"other library":    {from: good, change: func(r *release) { r.librarySHA256 = hex.EncodeToString(other[:32]) }, want: "pinned is"},
		"no such package":  {from: good, change: func(r *release) { r.spec += "/missing" }, want: "npm pack"},
		"no library in it": {from: noLibrary, change: func(*release) {}, want: "no package/libchdb.so in it"},
		"bad integrity":    {from: good, change: func(r *release) { r.integrity = "md5-AAAA" }, want: "not a sha512 integrity"},
	} {
		t.Run(name, func(t *testing.T) {
			r := test.from
			test.change(&r)
			out := filepath.Join(t.TempDir(), "libchdb.so")
			require.ErrorContains(t, install(t.Context(), r, t.TempDir(), out), test.want)
			left, err := os.ReadDir(filepath.Dir(out))
			require.NoError(t, err)
			assert.Empty(t, left, "neither a library nor a part of one")
		})
	}
	t.Run("no npm", func(t *testing.T) {
		t.Setenv("PATH", "")
		require.ErrorContains(t, install(t.Context(), good, t.TempDir(), filepath.Join(t.TempDir(), "l")), "npm is needed")
	})
}

func TestPick(t *testing.T) {
	r, err := pick("linux", "amd64", "")
	require.NoError(t, err)
	assert.Equal(t, releases["amd64"], r)

	r, err = pick("linux", "arm64", "sha512-x")
	require.NoError(t, err)
	assert.Equal(t, "sha512-x", r.integrity)

	for _, test := range []struct{ goos, goarch, integrity, want string }{
		{"linux", "arm64", "", "give it with -integrity"},
		{"linux", "amd64", "sha512-x", "is pinned to"},
		{"linux", "riscv64", "", "none for linux/riscv64"},
		{"darwin", "arm64", "sha512-x", "none for darwin/arm64"},
	} {
		_, err := pick(test.goos, test.goarch, test.integrity)
		assert.ErrorContains(t, err, test.want)
	}
}
