package pprofwire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"sync"
)

// inflaters holds those of earlier profiles: one has some 30 KB of tables.
var inflaters = sync.Pool{New: func() any { return new(deflate) }}

// maxRatio is how much DEFLATE can inflate a byte at most.
const maxRatio = 1032

// isGzip reports whether data is gzipped. A profile does not begin with these
// bytes: 0x1f would be field 3 of a wire type that protobuf does not have.
func isGzip(data []byte) bool { return len(data) >= 2 && data[0] == 0x1f && data[1] == 0x8b }

// inflate appends the inflated data, RFC 1952, to buf: all members, one after another.
// It takes no more memory than limit and outputRoom.
func inflate(buf, data []byte, limit int) ([]byte, error) {
	d := inflaters.Get().(*deflate)
	defer inflaters.Put(d)
	first := len(buf)
	if n := expected(data, limit); cap(buf)-first < n {
		buf = append(make([]byte, 0, first+n), buf...)
	}
	d.in, d.at, d.out, d.limit = data, 0, buf, first+limit
	err := d.members()
	out := d.out
	d.in, d.out = nil, nil
	if err != nil {
		return out[:first], err
	}
	return out, nil
}

func (d *deflate) members() error {
	for {
		if err := d.header(); err != nil {
			return inflateError(err)
		}
		first := len(d.out)
		if err := d.stream(); err != nil {
			if errors.Is(err, ErrTooLarge) {
				return err
			}
			return inflateError(err)
		}
		tail := d.in[d.at:]
		if len(tail) < 8 {
			return inflateError(io.ErrUnexpectedEOF)
		}
		content := d.out[first:]
		if crc32.ChecksumIEEE(content) != binary.LittleEndian.Uint32(tail) || uint32(len(content)) != binary.LittleEndian.Uint32(tail[4:]) {
			return inflateError(errChecksum)
		}
		if d.at += 8; d.at == len(d.in) {
			return nil
		}
	}
}

var (
	errHeader   = errors.New("gzip: invalid header")
	errChecksum = errors.New("gzip: invalid checksum")
)

// Flags of a gzip header.
const (
	gzipCRC     = 1 << 1
	gzipExtra   = 1 << 2
	gzipName    = 1 << 3
	gzipComment = 1 << 4
	gzipFixed   = 10 // bytes of a header that are always there
)

// header reads the header of a member.
func (d *deflate) header() error {
	b := d.in[d.at:]
	if len(b) < gzipFixed {
		return io.ErrUnexpectedEOF
	}
	if !isGzip(b) || b[2] != 8 {
		return errHeader
	}
	flags, i := b[3], gzipFixed
	if flags&gzipExtra != 0 {
		if len(b) < i+2 {
			return io.ErrUnexpectedEOF
		}
		i += 2 + int(binary.LittleEndian.Uint16(b[i:]))
	}
	for _, text := range []byte{gzipName, gzipComment} {
		if flags&text == 0 {
			continue
		}
		n := bytes.IndexByte(b[min(i, len(b)):], 0)
		if n < 0 {
			return io.ErrUnexpectedEOF
		}
		i += n + 1
	}
	if flags&gzipCRC != 0 {
		if len(b) < i+2 {
			return io.ErrUnexpectedEOF
		}
		if uint16(crc32.ChecksumIEEE(b[:i])) != binary.LittleEndian.Uint16(b[i:]) {
			return errHeader
		}
		i += 2
	}
	if i > len(b) {
		return io.ErrUnexpectedEOF
	}
	d.at += i
	return nil
}

func inflateError(err error) error {
	return fmt.Errorf("decode pprof: %w: inflate: %w", ErrInvalid, err)
}

// expected guesses the inflated size, with outputRoom, from the last four bytes of a
// gzip file, which are not to be trusted.
func expected(data []byte, limit int) int {
	n := len(data)
	size := min(int64(n)*maxRatio, int64(limit))
	if n >= 4 {
		size = min(size, int64(binary.LittleEndian.Uint32(data[n-4:])))
	}
	return int(size) + outputRoom
}
