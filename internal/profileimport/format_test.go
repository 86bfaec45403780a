package profileimport

import (
	"bytes"
	"compress/gzip"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestDetect(t *testing.T) {
	for name, tt := range map[string]struct {
		data string
		want Format
	}{
		"pprof":          {string(small(t)), PprofFile},
		"jfr":            {string(recording(t)), JFRFile},
		"folded":         {"a;b 1\n", FoldedIn},
		"folded unicode": {"main;größe 1\r\n", FoldedIn},
		"folded tabs":    {strings.Repeat("ü", looked) + " 1", FoldedIn},
		"folded escapes": {"main;\x1b[31mred 1\n", FoldedIn},
		"empty":          {"", PprofFile},
		"aperture":       {"\x01\x00\x00\x00\x02\x00\x00\x00\x00\x00\x00\x00", Aperture},
		"noise":          {"\xff\xfe\x00\x01", PprofFile},
	} {
		assert.Equal(t, tt.want, Detect([]byte(tt.data)), name)
	}
}

func zip(t *testing.T, data []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	_, err := z.Write(data)
	require.NoError(t, err)
	require.NoError(t, z.Close())
	return out.Bytes()
}

func TestRead(t *testing.T) {
	packed := zip(t, []byte("a;b 1\n"))
	for name, tt := range map[string]struct {
		in    []byte
		limit int64
		want  string
		err   string
	}{
		"as it is":           {in: []byte("a;b 1\n"), limit: 6, want: "a;b 1\n"},
		"one too many":       {in: []byte("a;b 1\n"), limit: 5, err: "file is larger than 5 bytes: too large"},
		"gzipped":            {in: packed, limit: 100, want: "a;b 1\n"},
		"gzipped, too large": {in: packed, limit: 10, err: "file is larger than 10 bytes: too large"},
		"a bomb":             {in: zip(t, make([]byte, 1<<20)), limit: 1 << 16, err: "inflated file is larger than 65536 bytes: too large"},
		"cut":                {in: packed[:len(packed)-9], limit: 100, err: "read inflated file: unexpected EOF"},
		"head only":          {in: packed[:2], limit: 100, err: "inflate file: unexpected EOF"},
		"empty":              {limit: 1},
	} {
		data, err := Read(bytes.NewReader(tt.in), tt.limit)
		if tt.err != "" {
			require.EqualError(t, err, tt.err, name)
			continue
		}
		require.NoError(t, err, name)
		assert.Equal(t, tt.want, string(data), name)
	}
	_, err := Read(io.MultiReader(strings.NewReader("a;b 1"), &failing{}), 100)
	require.ErrorIs(t, err, io.ErrClosedPipe)
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestParseWantsAKnownFormat(t *testing.T) {
	_, err := Parse(nil, "xml", "")
	require.EqualError(t, err, `format "xml" is not one of pprof, folded, jfr`)
}
