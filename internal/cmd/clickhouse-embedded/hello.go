package main

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Bounds of a hello. The strings are a client's name, a database, a user and a
// password (or token).
const (
	maxHelloString = 4 << 10
	maxHello       = 16 << 10
)

// hello is the first packet of a client of the native protocol: the number 0,
// client name, version major, minor and protocol revision, database, user,
// password. Numbers are unsigned LEB128, strings have their length before them
// (ClickHouse documentation, "Native protocol").
type hello struct {
	database, user, password string
}

// errIncomplete says that a hello goes on after the bytes that are there.
var errIncomplete = fmt.Errorf("parse hello: %w", io.ErrUnexpectedEOF)

// parseHello parses the hello at the beginning of buf.
func parseHello(buf []byte) (hello, error) {
	p := helloParser{rest: buf}
	if kind := p.number(); p.err == nil && kind != 0 {
		return hello{}, fmt.Errorf("parse hello: packet %d, want 0", kind)
	}
	p.text() // client name
	for range 3 {
		p.number() // version
	}
	h := hello{database: p.text(), user: p.text(), password: p.text()}
	return h, p.err
}

// helloParser keeps the first error, after which all values are empty.
type helloParser struct {
	rest []byte
	err  error
}

func (p *helloParser) number() uint64 {
	if p.err != nil {
		return 0
	}
	value, n := binary.Uvarint(p.rest)
	switch {
	case n == 0:
		p.err = errIncomplete
		return 0
	case n < 0:
		p.err = errors.New("parse hello: number of more than 64 bits")
		return 0
	}
	p.rest = p.rest[n:]
	return value
}

func (p *helloParser) text() string {
	size := p.number()
	switch {
	case p.err != nil:
		return ""
	case size > maxHelloString:
		p.err = fmt.Errorf("parse hello: string of %d bytes, limit is %d", size, maxHelloString)
		return ""
	case size > uint64(len(p.rest)):
		p.err = errIncomplete
		return ""
	}
	text := string(p.rest[:size])
	p.rest = p.rest[size:]
	return text
}

// readHello reads until a hello is complete, and returns it with all bytes read.
func readHello(r io.Reader) (hello, []byte, error) {
	buf := make([]byte, 0, maxHello)
	for {
		n, err := r.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		h, parseErr := parseHello(buf)
		switch {
		case parseErr == nil:
			return h, buf, nil
		case !errors.Is(parseErr, errIncomplete):
			return hello{}, nil, parseErr
		case err != nil:
			return hello{}, nil, fmt.Errorf("read hello: %w", err)
		case len(buf) == cap(buf):
			return hello{}, nil, fmt.Errorf("read hello: more than %d bytes", maxHello)
		}
	}
}

// login is what a client must know.
type login struct{ user, password string }

// admits compares in constant time.
func (l login) admits(h hello) bool {
	want, got := sha256.Sum256([]byte(l.password)), sha256.Sum256([]byte(h.password))
	return subtle.ConstantTimeCompare(want[:], got[:])&subtle.ConstantTimeCompare([]byte(l.user), []byte(h.user)) == 1
}

// Error codes of ClickHouse (its system.errors).
const (
	codeUnknownDatabase      = 81
	codeAuthenticationFailed = 516
)

// exception is the packet that refuses a hello: the number 2, code, name,
// message, stack trace, and no nested exception.
func exception(code int32, message string) []byte {
	packet := []byte{2}
	packet = binary.LittleEndian.AppendUint32(packet, uint32(code))
	for _, text := range []string{"DB::Exception", "DB::Exception: " + message, ""} {
		packet = binary.AppendUvarint(packet, uint64(len(text)))
		packet = append(packet, text...)
	}
	return append(packet, 0)
}
