package aperturereceiver

import (
	"io"

	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
)

// maxQuerySize bounds the requests of the read methods, which are tiny.
const maxQuerySize = 1 << 20

// rawMessage is a request as it came over the wire, still compressed if it was
// compressed. It holds a buffer until it is released.
type rawMessage struct {
	buf mem.Buffer
}

func (m *rawMessage) bytes() []byte { return m.buf.ReadOnlyData() }

// release gives the buffer back; what bytes returned must not be used after it.
func (m *rawMessage) release() {
	if m.buf != nil {
		m.buf.Free()
		m.buf = nil
	}
}

// keepCompressed stands in for gRPC's gzip decompressor and hands out the
// compressed bytes. gRPC would decompress a request before anyone is asked who
// sent it, and would refuse one that is too large with a status that agents do
// not understand; the handler does both better.
type keepCompressed struct{}

//lint:ignore SA1019 the replacement is global to the process, this is for one server
var _ grpc.Decompressor = keepCompressed{}

// Type returns the name of the encoding.
func (keepCompressed) Type() string { return "gzip" }

// Do reads all of r, which gRPC has bounded.
func (keepCompressed) Do(r io.Reader) ([]byte, error) {
	if sized, ok := r.(interface{ Remaining() int }); ok {
		b := make([]byte, sized.Remaining())
		_, err := io.ReadFull(r, b)
		return b, err
	}
	return io.ReadAll(r)
}

// codec gives the handler of Push the message as it is and decodes all others as
// usual, after decompressing what [keepCompressed] left compressed.
type codec struct {
	proto encoding.CodecV2
}

func newCodec() codec { return codec{proto: encoding.GetCodecV2(proto.Name)} }

// Name returns the name of the codec in gRPC's registry.
func (codec) Name() string { return proto.Name }

// Marshal encodes a response.
func (c codec) Marshal(v any) (mem.BufferSlice, error) { return c.proto.Marshal(v) }

// Unmarshal decodes a request.
func (c codec) Unmarshal(data mem.BufferSlice, v any) error {
	if raw, ok := v.(*rawMessage); ok {
		raw.buf = data.MaterializeToBuffer(mem.DefaultBufferPool())
		return nil
	}
	buf := data.MaterializeToBuffer(mem.DefaultBufferPool())
	defer buf.Free()
	msg := buf.ReadOnlyData()
	if isGzip(msg) {
		inflated, err := inflate(nil, msg, maxQuerySize, func(int) error { return nil })
		if err != nil {
			return err
		}
		msg = inflated
	}
	if len(msg) > maxQuerySize {
		return &sizeError{found: int64(len(msg)), limit: maxQuerySize}
	}
	return c.proto.Unmarshal(mem.BufferSlice{mem.SliceBuffer(msg)}, v)
}
