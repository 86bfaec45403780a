package aperturereceiver

import (
	"bytes"
	stdgzip "compress/gzip"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/pprofile"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/aperture-collector/aperture-collector/internal/aperturewire"
	aggregatorv1 "github.com/aperture-collector/aperture-collector/proto/aperture/aggregator/v1"
	"github.com/aperture-collector/aperture-collector/receiver/aperturereceiver/internal/metadatatest"
)

// padded returns a request whose encoding has exactly size bytes: an empty
// message with bytes behind it, which decoders ignore.
func padded(tb testing.TB, size int, random bool) *aggregatorv1.PushRequest {
	tb.Helper()
	req := &aggregatorv1.PushRequest{Payload: examples(tb)["empty"]}
	padding := make([]byte, size-proto.Size(req)-binary.MaxVarintLen32)
	if random {
		_, err := io.ReadFull(rand.NewChaCha8([32]byte{1}), padding)
		require.NoError(tb, err)
	}
	for req.Payload = append(req.Payload, padding...); proto.Size(req) < size; {
		req.Payload = append(req.Payload, 0)
	}
	require.Equal(tb, size, proto.Size(req))
	return req
}

func smallLimits(c *Config) {
	c.MaxMessageSize, c.MaxInflatedSize, c.MaxInflightSize = 100_000, 400_000, 800_000
}

// Agents split a batch if they find these words, and only these.
func TestPushTooLarge(t *testing.T) {
	s := startServer(t, serverOptions{config: smallLimits})
	ok := func(req *aggregatorv1.PushRequest, opts ...grpc.CallOption) {
		t.Helper()
		resp, err := s.Push(t.Context(), req, opts...)
		require.NoError(t, err)
		assert.True(t, resp.Ok, resp.Error)
	}
	refused := func(message string, req *aggregatorv1.PushRequest, opts ...grpc.CallOption) {
		t.Helper()
		_, err := s.Push(t.Context(), req, opts...)
		assert.Equal(t, codes.OutOfRange, status.Code(err), err)
		assert.Equal(t, message, status.Convert(err).Message())
	}
	compressed := grpc.UseCompressor(gzip.Name)
	ok(padded(t, 100_000, true))
	refused("Error, message length too large: found 100001 bytes, the limit is: 100000 bytes", padded(t, 100_001, true))
	refused("Error, message length too large: found 399999 bytes, the limit is: 100000 bytes", padded(t, 399_999, true))

	// It is the compressed size that counts, and then the inflated size.
	ok(padded(t, 99_000, true), compressed)
	ok(padded(t, 400_000, false), compressed)
	refused("Error, message length too large: found 400001 bytes, the limit is: 400000 bytes", padded(t, 400_001, false), compressed)
	refused("Error, message length too large: found 50000000 bytes, the limit is: 400000 bytes", padded(t, 50_000_000, false), compressed)
	_, err := s.Push(t.Context(), padded(t, 150_000, true), compressed)
	assert.Equal(t, codes.OutOfRange, status.Code(err), err)
	assert.Regexp(t, `^Error, message length too large: found 150\d\d\d bytes, the limit is: 100000 bytes$`, status.Convert(err).Message())
	assert.Zero(t, s.receiver.push.inflight.Load())

	// What is not even read is refused by gRPC itself.
	_, err = s.Push(t.Context(), padded(t, maxFrameFactor*100_000+1, true))
	assert.Equal(t, codes.ResourceExhausted, status.Code(err), err)
}

func TestPushTooManyProcesses(t *testing.T) {
	s := startServer(t, serverOptions{config: func(c *Config) { c.MaxProcesses = 2 }})
	_, err := s.Push(t.Context(), &aggregatorv1.PushRequest{Payload: message(
		syscallEvent(aperturewire.Syscall{PID: 1}), syscallEvent(aperturewire.Syscall{PID: 2}), syscallEvent(aperturewire.Syscall{PID: 3}),
	)})
	assert.Equal(t, codes.OutOfRange, status.Code(err))
	assert.Contains(t, status.Convert(err).Message(), "the limit is 2 (max_processes)")
	assert.Empty(t, s.sink.AllProfiles())
}

// When too much is in work the next push is refused, retryably, and welcome once
// there is room.
func TestPushBusy(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	s := startServer(t, serverOptions{
		config: func(c *Config) {
			c.MaxMessageSize, c.MaxInflatedSize, c.MaxInflightSize = 100_000, 400_000, 500_000
		},
		next: consumeFunc(func(context.Context, pprofile.Profiles) error {
			entered <- struct{}{}
			<-release
			return nil
		}),
	})
	compressed := grpc.UseCompressor(gzip.Name)
	first := make(chan error, 1)
	go func() {
		_, err := s.Push(t.Context(), padded(t, 400_000, false), compressed)
		first <- err
	}()
	<-entered
	for _, opts := range [][]grpc.CallOption{nil, {compressed}} {
		_, err := s.Push(t.Context(), padded(t, 100_000, false), opts...)
		st := status.Convert(err)
		assert.Equal(t, codes.ResourceExhausted, st.Code(), err)
		require.Len(t, st.Details(), 1)
		assert.IsType(t, &errdetails.RetryInfo{}, st.Details()[0])
	}
	release <- struct{}{}
	require.NoError(t, <-first)
	go func() { <-entered; release <- struct{}{} }()
	resp, err := s.Push(t.Context(), padded(t, 100_000, false))
	require.NoError(t, err)
	assert.True(t, resp.Ok)
	assert.Zero(t, s.receiver.push.inflight.Load())
}

func TestQueryTooLarge(t *testing.T) {
	s := startServer(t, withAPI(new(apiExtension)))
	huge := string(make([]byte, maxQuerySize+1))
	for _, opts := range [][]grpc.CallOption{nil, {grpc.UseCompressor(gzip.Name)}} {
		_, err := s.Query(t.Context(), &aggregatorv1.QueryRequest{AgentId: &huge}, opts...)
		assert.Equal(t, codes.OutOfRange, status.Code(err), err)
		assert.Regexp(t, `^Error, message length too large: found \d+ bytes, the limit is: 1048576 bytes$`, status.Convert(err).Message())
	}
}

func gzipped(tb testing.TB, data []byte) []byte {
	var b bytes.Buffer
	w := stdgzip.NewWriter(&b)
	_, err := w.Write(data)
	require.NoError(tb, err)
	require.NoError(tb, w.Close())
	return b.Bytes()
}

func noLimit(int) error { return nil }

func TestInflate(t *testing.T) {
	var buf []byte
	for _, size := range []int{0, 1, 100, 100_000, 5_000_000, 10} {
		want := make([]byte, size)
		for i := range want {
			want[i] = byte(i * i >> 8)
		}
		var err error
		buf, err = inflate(buf, gzipped(t, want), size, noLimit)
		require.NoError(t, err)
		require.True(t, bytes.Equal(want, buf), size)
		if size > 0 {
			_, err = inflate(nil, gzipped(t, want), size-1, noLimit)
			var se *sizeError
			require.ErrorAs(t, err, &se)
			assert.Equal(t, sizeError{found: int64(size), limit: int64(size - 1)}, *se)
		}
	}
}

// The size at the end of the stream is a hint; it may lie in both directions and
// may not make us reserve more than the stream can hold.
func TestInflateLyingSize(t *testing.T) {
	want := bytes.Repeat([]byte("abcdefgh"), 10_000)
	first, second := gzipped(t, want[:50_000]), gzipped(t, want[50_000:])
	got, err := inflate(nil, append(first, second...), 1<<20, noLimit) // members are concatenated
	require.NoError(t, err)
	assert.True(t, bytes.Equal(want, got))

	lie := gzipped(t, want)
	binary.LittleEndian.PutUint32(lie[len(lie)-4:], 1<<31)
	most := 0
	_, err = inflate(nil, lie, 1<<30, func(n int) error { most = max(most, n); return nil })
	require.ErrorContains(t, err, "decompress message: gzip: invalid checksum")
	assert.LessOrEqual(t, most, maxRatio*len(lie)+1)
}

func TestInflateTruncated(t *testing.T) {
	data := gzipped(t, bytes.Repeat([]byte("some text "), 50))
	for n := range data {
		_, err := inflate(nil, data[:n], 1<<20, noLimit)
		require.ErrorContains(t, err, "decompress message: ", n)
	}
}

func TestInflateReserve(t *testing.T) {
	refused := errors.New("refused")
	_, err := inflate(nil, gzipped(t, make([]byte, 1000)), 1<<20, func(n int) error {
		assert.Equal(t, 1001, n)
		return refused
	})
	assert.Equal(t, refused, err)
}

// FuzzPush feeds the handler what may come over the wire.
func FuzzPush(f *testing.F) {
	for _, payload := range examples(f) {
		msg, err := proto.Marshal(&aggregatorv1.PushRequest{AgentId: "a", Sequence: 1, Payload: payload})
		require.NoError(f, err)
		f.Add(msg)
		f.Add(gzipped(f, msg))
	}
	cfg := createDefaultConfig().(*Config)
	smallLimits(cfg)
	telemetry := componenttest.NewTelemetry()
	f.Cleanup(func() { require.NoError(f, telemetry.Shutdown(context.Background())) })
	r, err := newReceiver(cfg, metadatatest.NewSettings(telemetry), consumertest.NewNop())
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, msg []byte) {
		resp, err := r.push.push(t.Context(), rawMessageOf(msg))
		if err != nil {
			assert.Equal(t, codes.OutOfRange, status.Code(err))
		} else {
			assert.Equal(t, resp.Ok, resp.Error == "")
		}
		assert.Zero(t, r.push.inflight.Load())
	})
}

func FuzzInflate(f *testing.F) {
	f.Add(gzipped(f, []byte("hello")))
	f.Add(gzipped(f, make([]byte, 100_000)))
	f.Fuzz(func(t *testing.T, data []byte) {
		const limit = 50_000
		out, err := inflate(nil, data, limit, noLimit)
		if err == nil {
			assert.LessOrEqual(t, len(out), limit)
		}
		assert.LessOrEqual(t, cap(out), 2*limit)
	})
}
