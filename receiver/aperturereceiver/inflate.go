package aperturereceiver

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/klauspost/compress/gzip"
)

// maxRatio is more than deflate can compress (1032:1), so no frame can make us
// allocate more than that on its word.
const maxRatio = 1100

// sizeError says that a message is too large.
type sizeError struct {
	found, limit int64
}

// tooLarge are the words that agents look for to split their batch.
const tooLarge = "message length too large"

// Error has the words that agents look for.
func (e *sizeError) Error() string {
	return fmt.Sprintf("Error, "+tooLarge+": found %d bytes, the limit is: %d bytes", e.found, e.limit)
}

// isGzip tells a gzip stream from a protobuf message: 0x1f is a tag with a wire
// type that does not exist.
func isGzip(msg []byte) bool { return len(msg) > 0 && msg[0] == 0x1f }

var gzipReaders = sync.Pool{New: func() any { return new(gzip.Reader) }}

// inflate decompresses src into dst, which is overwritten and may be replaced, up
// to limit bytes. reserve is called before that many bytes are used, with growing
// sizes, and may refuse. The result is dst's memory or new memory, also on error,
// so that it can be reused.
func inflate(dst, src []byte, limit int, reserve func(size int) error) ([]byte, error) {
	zr := gzipReaders.Get().(*gzip.Reader)
	defer gzipReaders.Put(zr)
	dst = dst[:0]
	if err := zr.Reset(bytes.NewReader(src)); err != nil {
		return dst, fmt.Errorf("decompress message: %w", err)
	}
	// The last four bytes are the inflated size, if it is to be believed.
	want := min(int(binary.LittleEndian.Uint32(src[len(src)-4:])), limit, maxRatio*len(src)) + 1
	for {
		if err := reserve(want); err != nil {
			return dst, err
		}
		dst = slices.Grow(dst, max(0, want-len(dst)))
		for len(dst) < want {
			n, err := zr.Read(dst[len(dst):want])
			dst = dst[:len(dst)+n]
			switch {
			case len(dst) > limit:
				found := max(int64(binary.LittleEndian.Uint32(src[len(src)-4:])), int64(len(dst)))
				return dst, &sizeError{found: found, limit: int64(limit)}
			case errors.Is(err, io.EOF):
				return dst, nil
			case err != nil:
				return dst, fmt.Errorf("decompress message: %w", err)
			}
		}
		want = min(2*want, limit+1)
	}
}
