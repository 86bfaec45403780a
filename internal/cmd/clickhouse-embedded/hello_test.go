package main

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func packHello(kind uint64, texts ...string) []byte {
	packet := binary.AppendUvarint(nil, kind)
	text := func(s string) { packet = append(binary.AppendUvarint(packet, uint64(len(s))), s...) }
	text("client")
	packet = append(packet, 1, 2)
	packet = binary.AppendUvarint(packet, 54467)
	for _, s := range texts {
		text(s)
	}
	return packet
}

func TestParseHello(t *testing.T) {
	packet := packHello(0, "db", "user", "pass")
	want := hello{database: "db", user: "user", password: "pass"}
	h, err := parseHello(packet)
	require.NoError(t, err)
	assert.Equal(t, want, h)

	h, err = parseHello(append(packet, "more"...))
	require.NoError(t, err)
	assert.Equal(t, want, h)

	for n := range packet {
		_, err := parseHello(packet[:n])
		require.ErrorIs(t, err, errIncomplete, "first %d bytes", n)
	}
}

func TestReadHello(t *testing.T) {
	packet := append(packHello(0, "", "user", ""), "more"...)
	h, raw, err := readHello(bytes.NewReader(packet))
	require.NoError(t, err)
	assert.Equal(t, hello{user: "user"}, h)
	assert.Equal(t, packet, raw)

	packet = packet[:len(packet)-len("more")]
	h, raw, err = readHello(iotest.OneByteReader(bytes.NewReader(packet)))
	require.NoError(t, err)
	assert.Equal(t, hello{user: "user"}, h)
	assert.Equal(t, packet, raw)

	_, _, err = readHello(bytes.NewReader(packet[:5]))
	require.ErrorContains(t, err, "read hello: EOF")
}

func TestReadHelloRefuses(t *testing.T) {
	long := strings.Repeat("x", maxHelloString)
	for name, test := range map[string]struct {
		packet []byte
		want   string
	}{
		"other packet": {packHello(1, "", "", ""), "packet 1, want 0"},
		"HTTP":         {[]byte("GET / HTTP/1.1\r\n\r\n"), "packet 71, want 0"},
		"long string":  {packHello(0, long+"x", "", ""), "string of 4097 bytes, limit is 4096"},
		"long number":  {bytes.Repeat([]byte{0xff}, 20), "number of more than 64 bits"},
		"huge string":  {append([]byte{0}, bytes.Repeat([]byte{0xff}, 9)...), "EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := readHello(bytes.NewReader(test.packet))
			require.ErrorContains(t, err, test.want)
		})
	}
	_, _, err := readHello(bytes.NewReader(packHello(0, long, long, long)))
	require.NoError(t, err, "the limits fit together")
}

func TestAdmits(t *testing.T) {
	l := login{user: "aperture", password: "secret"}
	assert.True(t, l.admits(hello{user: "aperture", password: "secret"}))
	for _, h := range []hello{
		{}, {user: "aperture"}, {password: "secret"}, {user: "aperture", password: "secre"}, {user: "default", password: "secret"},
	} {
		assert.False(t, l.admits(h), "%+v", h)
	}
}

func TestException(t *testing.T) {
	assert.Equal(t, []byte("\x02\x51\x00\x00\x00\x0dDB::Exception\x11DB::Exception: no\x00\x00"), exception(codeUnknownDatabase, "no"))
}

func FuzzParseHello(f *testing.F) {
	f.Add(packHello(0, "db", "user", "pass"))
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"))
	f.Add(bytes.Repeat([]byte{0xff}, 20))
	f.Fuzz(func(t *testing.T, packet []byte) {
		h, err := parseHello(packet)
		if err != nil {
			return
		}
		if n := len(h.database) + len(h.user) + len(h.password); n > len(packet) {
			t.Fatalf("%d bytes of text out of %d", n, len(packet))
		}
	})
}
