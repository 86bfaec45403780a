package export

import (
	"io"

	"google.golang.org/protobuf/encoding/protowire"
)

// flushAt is how much is gathered before it is handed on, in bytes.
const flushAt = 32 << 10

// fieldWriter writes the fields of a protobuf message. The first error of w stays.
type fieldWriter struct {
	w   io.Writer
	buf []byte
	err error
}

func (f *fieldWriter) bytes(field protowire.Number, b []byte) {
	f.buf = appendBytes(f.buf, field, b)
	f.check()
}

// varint leaves out zeros, which are the default.
func (f *fieldWriter) varint(field protowire.Number, v uint64) {
	f.buf = appendVarint(f.buf, field, v)
	f.check()
}

func (f *fieldWriter) check() {
	if len(f.buf) >= flushAt {
		_ = f.flush()
	}
}

func (f *fieldWriter) flush() error {
	if f.err == nil {
		_, f.err = f.w.Write(f.buf)
	}
	f.buf = f.buf[:0]
	return f.err
}

func appendBytes(b []byte, field protowire.Number, value []byte) []byte {
	b = protowire.AppendTag(b, field, protowire.BytesType)
	return protowire.AppendBytes(b, value)
}

func appendVarint(b []byte, field protowire.Number, v uint64) []byte {
	if v == 0 {
		return b
	}
	b = protowire.AppendTag(b, field, protowire.VarintType)
	return protowire.AppendVarint(b, v)
}
