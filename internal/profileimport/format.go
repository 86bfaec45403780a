package profileimport

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"github.com/aperture-collector/aperture-collector/internal/jfr"
	"github.com/aperture-collector/aperture-collector/internal/pprofwire"
)

// MaxSize is the largest file in bytes, as it is and inflated.
const MaxSize = 256 << 20

// ErrTooLarge is the cause of errors about files beyond a limit.
var ErrTooLarge = errors.New("too large")

// Format is what a file is.
type Format string

// The formats.
const (
	Aperture  Format = "aperture" // the payload of an Aperture push, see package aperturewire
	PprofFile Format = "pprof"
	FoldedIn  Format = "folded"
	JFRFile   Format = "jfr"
)

// Read reads a file of at most limit bytes and inflates it if it is gzipped, to at
// most limit bytes.
func Read(r io.Reader, limit int64) ([]byte, error) {
	in := bufio.NewReader(r)
	magic, _ := in.Peek(2) // an error comes again
	if !bytes.Equal(magic, []byte{0x1f, 0x8b}) {
		return readAll(in, limit, "file")
	}
	packed := &io.LimitedReader{R: in, N: limit + 1}
	z, err := gzip.NewReader(packed)
	if err != nil {
		return nil, fmt.Errorf("inflate file: %w", err)
	}
	data, err := readAll(z, limit, "inflated file")
	if err != nil && packed.N <= 0 {
		return nil, fmt.Errorf("file is larger than %d bytes: %w", limit, ErrTooLarge)
	}
	return data, err
}

func readAll(r io.Reader, limit int64, what string) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", what, err)
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("%s is larger than %d bytes: %w", what, limit, ErrTooLarge)
	}
	return data, nil
}

// looked is how much of a file is looked at to tell text from what is none.
const looked = 4 << 10

// Detect says what inflated data is, by its first bytes. What is nothing else is
// pprof, whose decoder then says why it is not.
func Detect(data []byte) Format {
	switch {
	case bytes.HasPrefix(data, []byte(jfr.Magic)):
		return JFRFile
	case len(data) >= 4 && binary.LittleEndian.Uint32(data) == 1:
		// The version. It would be field 0 in protobuf, which there is not.
		return Aperture
	case isText(data) && !pprofwire.IsProfile(data):
		return FoldedIn
	}
	return PprofFile
}

// isText reports whether data begins with UTF-8 without zero bytes.
func isText(data []byte) bool {
	for at := 0; at < min(len(data), looked); {
		r, n := utf8.DecodeRune(data[at:])
		if r == 0 || r == utf8.RuneError && n == 1 {
			return false
		}
		at += n
	}
	return true
}

// Parse reads inflated data of one of the formats but Aperture. kind says what the
// numbers of folded stacks are; empty is cpu.
func Parse(data []byte, format Format, kind string) ([]*pprofwire.Profile, error) {
	switch format {
	case PprofFile:
		p, err := Pprof(data)
		return []*pprofwire.Profile{p}, err
	case FoldedIn:
		p, err := Folded(data, kind)
		return []*pprofwire.Profile{p}, err
	case JFRFile:
		return JFR(data)
	}
	return nil, fmt.Errorf("format %q is not one of pprof, folded, jfr", format)
}
