package aperturereceiver

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/aperture-collector/aperture-collector/internal/heaptest"
	aggregatorv1 "github.com/aperture-collector/aperture-collector/proto/aperture/aggregator/v1"
)

// rawCodec sends bytes as they are.
type rawCodec struct{}

func (rawCodec) Name() string { return "proto" }
func (rawCodec) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(v.([]byte))}, nil
}

func (rawCodec) Unmarshal(data mem.BufferSlice, v any) error {
	*v.(*[]byte) = data.Materialize()
	return nil
}

// compressed claims that what it is given is compressed already.
type compressed string

func (c compressed) Type() string { return string(c) }
func (compressed) Do(w io.Writer, p []byte) error {
	_, err := w.Write(p)
	return err
}

// methodNames lists the methods of the service.
func methodNames() []string {
	var names []string
	for _, m := range aggregatorv1.Aggregator_ServiceDesc.Methods {
		names = append(names, "/"+aggregatorv1.Aggregator_ServiceDesc.ServiceName+"/"+m.MethodName)
	}
	return names
}

// raw calls a method with bytes, compressed with the named encoding if there is
// one.
func (s *testServer) raw(tb testing.TB, method, encodingName string, msg []byte) error {
	tb.Helper()
	conn := s.conn
	if encodingName != "" {
		var err error
		conn, err = grpc.NewClient(s.receiver.address.String(), grpc.WithTransportCredentials(insecure.NewCredentials()),
			//lint:ignore SA1019 the one way to send what is not compressed
			grpc.WithCompressor(compressed(encodingName)))
		require.NoError(tb, err)
		defer conn.Close()
	}
	var answer []byte
	return conn.Invoke(tb.Context(), method, msg, &answer, grpc.ForceCodecV2(rawCodec{}))
}

func field(num protowire.Number, typ protowire.Type, value ...byte) []byte {
	return append(protowire.AppendTag(nil, num, typ), value...)
}

func zstdOf(tb testing.TB, size int) []byte {
	tb.Helper()
	var b bytes.Buffer
	w, err := zstd.NewWriter(&b)
	require.NoError(tb, err)
	_, err = io.CopyN(w, zeros{}, int64(size))
	require.NoError(tb, err)
	require.NoError(tb, w.Close())
	return b.Bytes()
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// hostile are messages that no method may take, what the fault is, and what is
// answered: by Push, which has an answer for faults, and by the others.
func hostile(tb testing.TB) []hostileMessage {
	bomb := gzipped(tb, make([]byte, 16<<20))
	agent := []byte("\x0a\x01a")
	return []hostileMessage{
		{"tag of field 0", "", []byte{0, 0}, codes.InvalidArgument},
		{"tag cut off", "", []byte{0x80}, codes.InvalidArgument},
		{"overlong varint", "", append([]byte{0x10}, bytes.Repeat([]byte{0xff}, 11)...), codes.InvalidArgument},
		{"length beyond the end", "", field(1, protowire.BytesType, 0xff, 0xff, 0xff, 0xff, 0x07, 'x'), codes.InvalidArgument},
		{"invalid UTF-8", "", field(1, protowire.BytesType, 2, 0xff, 0xfe), codes.InvalidArgument},
		{"end of a group", "", field(3, protowire.EndGroupType), codes.InvalidArgument},
		{"groups without end", "", bytes.Repeat(field(100, protowire.StartGroupType), 20_000), codes.InvalidArgument},
		{"random", "", bytes.Repeat([]byte{0xff}, 20), codes.InvalidArgument},
		{"no gzip", "gzip", []byte("\x1f\x8b not gzip"), codes.InvalidArgument},
		{"gzip header only", "gzip", []byte{0x1f}, codes.InvalidArgument},
		{"gzip cut off", "gzip", gzipped(tb, bytes.Repeat(agent, 100))[:20], codes.InvalidArgument},
		{"gzip bomb", "gzip", bomb, codes.OutOfRange},
		{"gzip bomb not said to be one", "", bomb, codes.OutOfRange},
		{"gzip bomb in a gzip bomb", "gzip", gzipped(tb, bomb), codes.InvalidArgument},
		{"zstd bomb", "zstd", zstdOf(tb, 16<<20), codes.ResourceExhausted},
		{"unknown encoding", "br", []byte("x"), codes.Unimplemented},
	}
}

type hostileMessage struct {
	name, encoding string
	msg            []byte
	code           codes.Code
}

// Every method, as the service description lists them, refuses every message that
// is none, by saying what is wrong, and goes on.
func TestHostileMessages(t *testing.T) {
	o := withAPI(new(apiExtension))
	o.config = withConfig(o.config, func(c *Config) { c.MaxMessageSize, c.MaxInflatedSize = 1<<20, 4<<20 })
	s := startServer(t, o)
	messages := hostile(t)
	before := heaptest.InUse()
	for _, method := range methodNames() {
		for _, h := range messages {
			t.Run(method[strings.LastIndex(method, "/")+1:]+"/"+h.name, func(t *testing.T) {
				err := s.raw(t, method, h.encoding, h.msg)
				if method == aggregatorv1.Aggregator_Push_FullMethodName && h.code == codes.InvalidArgument {
					require.NoError(t, err, "agents do not try again what is answered")
					return
				}
				require.Equal(t, h.code, status.Code(err), err)
				assert.NotEmpty(t, status.Convert(err).Message())
			})
		}
	}
	assert.Less(t, heaptest.InUse(), before+32<<20, "nothing of it is kept")
	assert.Zero(t, s.receiver.push.inflight.Load())
	assert.Empty(t, s.sink.AllProfiles())
	resp, err := s.Push(t.Context(), &aggregatorv1.PushRequest{Payload: examples(t)["cpu"]})
	require.NoError(t, err)
	assert.True(t, resp.Ok, "the server goes on")
}

func withConfig(changes ...func(*Config)) func(*Config) {
	return func(c *Config) {
		for _, change := range changes {
			if change != nil {
				change(c)
			}
		}
	}
}

// Calls that are given up, by every method and at every stage, leave nothing.
func TestCancelledCalls(t *testing.T) {
	s := startServer(t, withAPI(new(apiExtension)))
	for _, method := range methodNames() {
		for i := range 50 {
			ctx, cancel := context.WithCancel(t.Context())
			stream, err := s.conn.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true}, method, grpc.ForceCodecV2(rawCodec{}))
			require.NoError(t, err)
			if i%3 > 0 {
				require.NoError(t, stream.SendMsg([]byte{}))
			}
			if i%3 > 1 {
				_ = stream.CloseSend()
			}
			cancel()
		}
	}
	require.Eventually(t, func() bool {
		_, err := s.Query(t.Context(), &aggregatorv1.QueryRequest{})
		return err == nil && s.receiver.push.inflight.Load() == 0
	}, waitFor, pause)
}

// Metadata is bounded, whether in one piece or in many.
func TestMetadataBomb(t *testing.T) {
	s := startServer(t, withAPI(new(apiExtension)))
	ctx := metadata.AppendToOutgoingContext(t.Context(), "x-large", strings.Repeat("x", maxHeaderListSize))
	_, err := s.Query(ctx, &aggregatorv1.QueryRequest{})
	require.Error(t, err)
	ctx = t.Context()
	for i := range 500 {
		ctx = metadata.AppendToOutgoingContext(ctx, "x-"+strconv.Itoa(i), strings.Repeat("x", 200))
	}
	_, err = s.Query(ctx, &aggregatorv1.QueryRequest{})
	require.Error(t, err)
	_, err = s.Query(t.Context(), &aggregatorv1.QueryRequest{})
	require.NoError(t, err)
}

// What is no HTTP/2 and no gRPC is turned away, and what a client cannot send by
// gRPC's own library is answered as upstream does.
func TestHostileHTTP(t *testing.T) {
	s := startServer(t, withBearerToken(t, "secret"))
	address := s.receiver.address.String()
	for _, text := range []string{"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "\x16\x03\x01\x00\x20" + strings.Repeat("x", 32), strings.Repeat("A", 10_000), "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + strings.Repeat("\xff", 1000)} {
		conn, err := net.Dial("tcp", address)
		require.NoError(t, err)
		_, err = io.WriteString(conn, text)
		require.NoError(t, err)
		_, _ = io.Copy(io.Discard, conn) // ends when the server hangs up
		require.NoError(t, conn.Close())
	}

	transport := &http.Transport{Protocols: new(http.Protocols)}
	transport.Protocols.SetUnencryptedHTTP2(true)
	defer transport.CloseIdleConnections()
	frame := append([]byte{0}, binary.BigEndian.AppendUint32(nil, 0)...)
	post := func(method, contentType, authorization string) *http.Response {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, "http://"+address+aggregatorv1.Aggregator_Query_FullMethodName, bytes.NewReader(frame))
		require.NoError(t, err)
		req.Header.Set("Content-Type", contentType)
		req.Header.Set("TE", "trailers")
		req.Header["Authorization"] = []string{authorization}
		resp, err := (&http.Client{Transport: transport}).Do(req)
		require.NoError(t, err)
		_, err = io.Copy(io.Discard, resp.Body)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		return resp
	}
	grpcStatus := func(r *http.Response) string {
		if v := r.Header.Get("Grpc-Status"); v != "" {
			return v
		}
		return r.Trailer.Get("Grpc-Status")
	}
	resp := post(http.MethodPost, "application/grpc", "Bearer \xff\xfe")
	assert.Equal(t, fmt.Sprint(int(codes.Unauthenticated)), grpcStatus(resp))
	assert.Equal(t, "Invalid authorization header encoding", resp.Header.Get("Grpc-Message"))
	assert.Equal(t, "0", grpcStatus(post(http.MethodPost, "application/grpc", "Bearer secret")))
	assert.Equal(t, http.StatusMethodNotAllowed, post(http.MethodGet, "application/grpc", "Bearer secret").StatusCode)
	assert.Equal(t, http.StatusUnsupportedMediaType, post(http.MethodPost, "application/json", "Bearer secret").StatusCode)
}

var _ encoding.CodecV2 = rawCodec{}
