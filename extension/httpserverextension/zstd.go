package httpserverextension

import (
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
)

// maxZstdWindow is how far back a compressed body may refer, in bytes: what
// `Content-Encoding: zstd` allows (RFC 9659). A decoder holds about as much in
// memory, whatever a body unfolds to, and a header of 6 bytes can ask for half a
// GiB of it.
const maxZstdWindow = 8 << 20

// unzstd reads a body that is compressed by Zstandard.
func unzstd(body io.ReadCloser) (io.ReadCloser, error) {
	d, err := zstd.NewReader(body, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxZstdWindow))
	if err != nil {
		return nil, fmt.Errorf("read zstd: %w", err)
	}
	return &zstdBody{d, body}, nil
}

// asItIs reads a body of which a client says that it is not compressed.
func asItIs(io.ReadCloser) (io.ReadCloser, error) { return nil, nil } //nolint:nilnil // as confighttp has it

type zstdBody struct {
	*zstd.Decoder
	body io.Closer
}

// Close gives the decoder's memory back.
func (b *zstdBody) Close() error {
	b.Decoder.Close()
	return b.body.Close()
}
