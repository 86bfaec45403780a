package pprofwire

import (
	"bytes"
	"compress/gzip"
	"io"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Memory that is there is used; a size that the file does not say is found out.
func TestInflate(t *testing.T) {
	data := goCPU(t)
	zipped := gzipped(data)
	for _, room := range []int{0, 1, len(data) / 2, len(data), len(data) + 1, 2 * len(data)} {
		buf := make([]byte, 0, room)
		got, err := inflate(buf, zipped, len(data))
		require.NoError(t, err)
		require.True(t, bytes.Equal(data, got))
		assert.Equal(t, room > len(data), cap(buf) == cap(got), room)
	}
	for _, limit := range []int{1, len(data) / 2, len(data) - 1} {
		_, err := inflate(nil, zipped, limit)
		require.ErrorIs(t, err, ErrTooLarge)
	}
	// The size at the end is that of the last member.
	got, err := inflate(nil, append(bytes.Clone(zipped), gzipped([]byte("x"))...), len(data)+1)
	require.NoError(t, err)
	assert.Len(t, got, len(data)+1)
	_, err = inflate(nil, append(bytes.Clone(zipped), "something else"...), len(data))
	require.ErrorIs(t, err, ErrInvalid)
}

// Whatever byte is wrong: what the standard library refuses, we refuse.
func TestInflateDamaged(t *testing.T) {
	zipped := gzipped(small())
	for i := range zipped {
		damaged := bytes.Clone(zipped)
		damaged[i] ^= 1 << (i % 8)
		got, err := inflate(nil, damaged, 1<<20)
		z, wantErr := gzip.NewReader(bytes.NewReader(damaged))
		var want []byte
		if wantErr == nil {
			want, wantErr = io.ReadAll(z)
		}
		if i != 3 { // flags: reserved ones are not refused by all
			require.Equal(t, wantErr == nil, err == nil, "byte %d: %v, %v", i, wantErr, err)
		}
		if err == nil {
			require.True(t, bytes.Equal(want, got), "byte %d", i)
		}
	}
}
