package pprofwire

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/gzip"
)

// inflaters holds those of earlier profiles: one has some 40 KB of tables.
var inflaters = sync.Pool{New: func() any { return new(inflater) }}

type inflater struct {
	in bytes.Reader
	z  gzip.Reader
}

// maxRatio is how much DEFLATE can inflate a byte at most.
const maxRatio = 1032

// isGzip reports whether data is gzipped. A profile does not begin with these
// bytes: 0x1f would be field 3 of a wire type that protobuf does not have.
func isGzip(data []byte) bool { return len(data) >= 2 && data[0] == 0x1f && data[1] == 0x8b }

// inflate appends the inflated data to buf. It takes no more memory than limit
// and the next power of two for it.
func inflate(buf, data []byte, limit int) ([]byte, error) {
	f := inflaters.Get().(*inflater)
	defer inflaters.Put(f)
	f.in.Reset(data)
	defer f.in.Reset(nil)
	if err := f.z.Reset(&f.in); err != nil {
		return buf, inflateError(err)
	}
	if n := expected(data, limit); cap(buf)-len(buf) < n {
		buf = append(make([]byte, 0, len(buf)+n), buf...)
	}
	for {
		if len(buf) == cap(buf) {
			// Room for one more byte than allowed, to see whether there is one.
			bigger := make([]byte, len(buf), min(2*cap(buf), limit)+1)
			copy(bigger, buf)
			buf = bigger
		}
		n, err := f.z.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if len(buf) > limit {
			return buf[:0], tooLarge("the inflated profile has more than %d bytes", limit)
		}
		if err == io.EOF {
			return buf, nil
		}
		if err != nil {
			return buf[:0], inflateError(err)
		}
	}
}

func inflateError(err error) error {
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("decode pprof: %w: inflate: %w", ErrInvalid, err)
}

// expected guesses the inflated size, plus 1 to see the end, from the last four
// bytes of a gzip file, which are not to be trusted.
func expected(data []byte, limit int) int {
	n := len(data)
	size := min(int64(n)*maxRatio, int64(limit))
	if n >= 4 {
		size = min(size, int64(binary.LittleEndian.Uint32(data[n-4:])))
	}
	return int(size) + 1
}
