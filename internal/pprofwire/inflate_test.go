package pprofwire

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Memory that is there is used; a size that the file does not say is found out.
func TestInflate(t *testing.T) {
	data := goCPU(t)
	zipped := gzipped(data)
	for _, room := range []int{0, 1, len(data) / 2, len(data), len(data) + outputRoom, 2 * len(data)} {
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

// texts are data that compressors treat in different ways.
func texts() map[string][]byte {
	rng := rand.New(rand.NewPCG(1, 1))
	noise := make([]byte, 60_000)
	for i := range noise {
		noise[i] = byte(rng.Uint32())
	}
	skewed := make([]byte, 60_000) // codes of up to 15 bits
	for i := range skewed {
		skewed[i] = byte(rng.ExpFloat64() * 9)
		if rng.IntN(5000) == 0 {
			skewed[i] = byte(rng.Uint32())
		}
	}
	var words bytes.Buffer
	for words.Len() < 60_000 {
		fmt.Fprintf(&words, "github.com/example/service%d.(*Server).handle%d", rng.IntN(50), rng.IntN(2000))
	}
	far := append(bytes.Clone(noise[:32768]), noise[:32768]...) // the largest offset
	runs := bytes.Repeat([]byte{1}, 70_000)
	for i := range 12 {
		runs = append(runs, bytes.Repeat(noise[:i+1], 1000)...)
	}
	return map[string][]byte{
		"empty": {}, "one": {7}, "noise": noise, "skewed": skewed, "words": words.Bytes(), "far": far, "runs": runs,
	}
}

// What compressors write comes back, whatever room there is.
func TestInflateOfAllLevels(t *testing.T) {
	for name, data := range texts() {
		for _, level := range []int{flate.HuffmanOnly, flate.NoCompression, flate.BestSpeed, 4, flate.BestCompression} {
			var out bytes.Buffer
			z, err := gzip.NewWriterLevel(&out, level)
			require.NoError(t, err)
			z.Name, z.Comment, z.Extra = "profile", "of a test", []byte("extra")
			for part := data; len(part) > 0; {
				n := min(len(part), 40_000)
				_, err = z.Write(part[:n])
				require.NoError(t, err)
				if part = part[n:]; level%2 == 0 {
					require.NoError(t, z.Flush())
				}
			}
			require.NoError(t, z.Close())
			for _, room := range []int{0, len(data)} {
				got, err := inflate(make([]byte, 0, room), out.Bytes(), len(data))
				require.NoError(t, err, "%s, level %d", name, level)
				require.True(t, bytes.Equal(data, got), "%s, level %d", name, level)
			}
			if len(data) > 0 {
				_, err = inflate(nil, out.Bytes(), len(data)-1)
				require.ErrorIs(t, err, ErrTooLarge)
			}
		}
	}
}

// Each cut is an error, in the header, the codes, the symbols and the end.
func TestInflateTruncated(t *testing.T) {
	data := texts()["words"][:3000]
	for level := flate.HuffmanOnly; level <= 9; level += 3 {
		var out bytes.Buffer
		z, err := gzip.NewWriterLevel(&out, level)
		require.NoError(t, err)
		z.Name = "profile"
		_, err = z.Write(data)
		require.NoError(t, err)
		require.NoError(t, z.Close())
		for n := range out.Bytes() {
			_, err := inflate(nil, out.Bytes()[:n], 2*len(data))
			require.ErrorIs(t, err, io.ErrUnexpectedEOF, "%d bytes at level %d", n, level)
			require.ErrorIs(t, err, ErrInvalid)
		}
	}
}
