package pyroscopereceiver

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"

	"connectrpc.com/connect"
	"github.com/grafana/pyroscope/api/gen/proto/go/push/v1/pushv1connect"
	"github.com/klauspost/compress/gzip"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

const (
	// maxPush is the largest message of push.v1 in bytes, inflated.
	maxPush = 32 << 20
	// maxEntries bounds the series, labels, samples and annotations of a message: an
	// empty one is 2 bytes there, and 60 times as much in memory.
	maxEntries = 64 << 10
	// minCompressed is the size of answers that are compressed: none is so large.
	minCompressed = mib
)

// pushSize is the largest message of push.v1 in bytes.
func (c *Config) pushSize() int64 { return min(c.MaxBodySize, maxPush) }

// pushHandler returns a handler of messages that are not compressed, and with res one of
// a single message, which may be: what it inflates to is reserved there.
func (r *pyroscopeReceiver) pushHandler(res *reservation) (path string, handler http.Handler) {
	return pushv1connect.NewPusherServiceHandler(&pusher{r}, r.pushOptions(res)...)
}

func (r *pyroscopeReceiver) pushOptions(res *reservation) []connect.HandlerOption {
	gunzip, zip := func() connect.Decompressor { return &inflater{res: res} }, func() connect.Compressor { return gzip.NewWriter(io.Discard) }
	if res == nil {
		gunzip, zip = nil, nil // takes the default away
	}
	return []connect.HandlerOption{
		connect.WithReadMaxBytes(int(r.cfg.pushSize())),
		connect.WithCodec(protoCodec{}), connect.WithCodec(jsonCodec("json")), connect.WithCodec(jsonCodec("json; charset=utf-8")),
		connect.WithCompressMinBytes(minCompressed),
		connect.WithCompression("gzip", gunzip, zip),
	}
}

// isCompressed reports whether a message may be compressed. Most are not, as profiles in
// them are, and need no handler of their own.
func isCompressed(h http.Header) bool {
	return h.Get("Grpc-Encoding") != "" || h.Get("Content-Encoding") != ""
}

// inflater reads gzip within messages, as gRPC has it, and reserves what it inflates.
type inflater struct {
	gzip.Reader
	res *reservation
}

func (z *inflater) Read(to []byte) (int, error) {
	n, err := z.Reader.Read(to)
	if e := z.res.grow(int64(n)); e != nil {
		return 0, unavailable("busy", e).Connect()
	}
	return n, err
}

// protoCodec reads messages of protobuf that have not too many parts.
type protoCodec struct{}

func (protoCodec) Name() string { return "proto" }

func (protoCodec) Marshal(m any) ([]byte, error) {
	message, err := messageOf(m)
	if err != nil {
		return nil, err
	}
	return proto.Marshal(message)
}

func (protoCodec) Unmarshal(data []byte, m any) error {
	message, err := messageOf(m)
	if err != nil {
		return err
	}
	if entries(data, true) > maxEntries {
		return errEntries
	}
	return proto.Unmarshal(data, message)
}

// entries counts the fields of a PushRequest and of its series, to one more than the
// most. What is not protobuf ends it.
func entries(data []byte, series bool) (n int) {
	for len(data) > 0 && n <= maxEntries {
		number, kind, tag := protowire.ConsumeTag(data)
		if tag < 0 {
			return n
		}
		size := protowire.ConsumeFieldValue(number, kind, data[tag:])
		if size < 0 {
			return n
		}
		n++
		if series && kind == protowire.BytesType {
			inner, _ := protowire.ConsumeBytes(data[tag:])
			n += entries(inner, false)
		}
		data = data[tag+size:]
	}
	return n
}

// jsonCodec is protoCodec for JSON. Its value is the name.
type jsonCodec string

func (c jsonCodec) Name() string { return string(c) }

func (jsonCodec) Marshal(m any) ([]byte, error) {
	message, err := messageOf(m)
	if err != nil {
		return nil, err
	}
	return protojson.Marshal(message)
}

func (jsonCodec) Unmarshal(data []byte, m any) error {
	message, err := messageOf(m)
	if err != nil {
		return err
	}
	if len(data) == 0 {
		return errors.New("there is no JSON object")
	}
	if bytes.Count(data, []byte("{")) > maxEntries {
		return errEntries
	}
	// Fields of later versions of the message.
	return protojson.UnmarshalOptions{DiscardUnknown: true}.Unmarshal(data, message)
}

var errEntries = fmt.Errorf("message has more than %d series, labels and samples together", maxEntries)

func messageOf(m any) (proto.Message, error) {
	message, ok := m.(proto.Message)
	if !ok {
		return nil, fmt.Errorf("found %T instead of a message of protobuf", m)
	}
	return message, nil
}
