package pprofwire

import (
	"bytes"
	"compress/flate"
	"io"
	"testing"

	"github.com/stretchr/testify/require"
)

// sameAsLibrary decodes a stream with ours and with the standard library.
func sameAsLibrary(t *testing.T, data []byte) {
	const limit = 1 << 20
	want, wantErr := io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(data)), limit+1))
	d := deflate{in: data, limit: limit}
	err := d.stream()
	if len(want) > limit {
		require.Error(t, err) // ours has decoded the whole block, which may be damaged behind
		return
	}
	require.Equal(t, wantErr == nil, err == nil, "%v, %v", wantErr, err)
	require.LessOrEqual(t, cap(d.out), limit+outputRoom)
	if err == nil {
		require.True(t, bytes.Equal(want, d.out))
	}
}

// Whatever bit is wrong: what the library refuses is refused, and what it takes is the
// same.
func TestDeflateDamaged(t *testing.T) {
	data := texts()["words"][:2000]
	for _, level := range []int{flate.HuffmanOnly, flate.NoCompression, 6} {
		var out bytes.Buffer
		z, err := flate.NewWriter(&out, level)
		require.NoError(t, err)
		_, err = z.Write(data)
		require.NoError(t, err)
		require.NoError(t, z.Close())
		for bit := range 8 * min(out.Len(), 200) {
			damaged := bytes.Clone(out.Bytes())
			damaged[bit/8] ^= 1 << (bit % 8)
			sameAsLibrary(t, damaged)
		}
	}
}

func FuzzDeflate(f *testing.F) {
	for _, data := range texts() {
		for _, level := range []int{flate.HuffmanOnly, flate.NoCompression, 6} {
			var out bytes.Buffer
			z, _ := flate.NewWriter(&out, level)
			z.Write(data[:min(len(data), 1000)])
			z.Close()
			f.Add(out.Bytes())
		}
	}
	f.Add([]byte{0x63, 0, 0}) // fixed codes
	f.Fuzz(sameAsLibrary)
}
