package aperturejson

import (
	"bytes"
	"io"
	"math"
	"strconv"
	"unicode/utf8"
)

// flushAt is how much is gathered before it is handed on.
const flushAt = 32 << 10

// writer writes JSON tokens and puts in the commas and, if wanted, the white
// space. The first error of out stays.
type writer struct {
	out    io.Writer
	indent bool
	buf    []byte
	depth  int
	// first is true before the first element of an object or array, keyed after
	// a key.
	first, keyed bool
	err          error
}

func newWriter(out io.Writer, indent bool) *writer {
	return &writer{out: out, indent: indent, buf: make([]byte, 0, flushAt+4096), first: true}
}

// next puts in what must stand before an element.
func (w *writer) next() {
	if w.keyed {
		w.keyed = false
		return
	}
	if !w.first {
		w.buf = append(w.buf, ',')
	}
	w.first = false
	w.newline()
	if len(w.buf) >= flushAt {
		w.flush()
	}
}

func (w *writer) newline() {
	if !w.indent || w.depth == 0 {
		return
	}
	w.buf = append(w.buf, '\n')
	for range w.depth {
		w.buf = append(w.buf, "  "...)
	}
}

func (w *writer) open(c byte) {
	w.next()
	w.buf = append(w.buf, c)
	w.depth++
	w.first = true
}

func (w *writer) close(c byte) {
	w.depth--
	if !w.first {
		w.newline()
		if w.indent && w.depth == 0 {
			w.buf = append(w.buf, '\n')
		}
	}
	w.first = false
	w.buf = append(w.buf, c)
}

func (w *writer) key(k string) {
	w.next()
	w.buf = appendString(w.buf, k)
	w.buf = append(w.buf, ':')
	if w.indent {
		w.buf = append(w.buf, ' ')
	}
	w.keyed = true
}

func (w *writer) uint(v uint64) {
	w.next()
	w.buf = strconv.AppendUint(w.buf, v, 10)
}

func (w *writer) int(v int64) {
	w.next()
	w.buf = strconv.AppendInt(w.buf, v, 10)
}

// float writes a number that always is one with a fraction or an exponent, as
// clients with typed numbers expect it; what is no number is null.
func (w *writer) float(v float64) {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		w.null()
		return
	}
	w.next()
	if size := math.Abs(v); size != 0 && (size < 1e-5 || size >= 1e16) {
		w.buf = strconv.AppendFloat(w.buf, v, 'e', -1, 64)
		return
	}
	start := len(w.buf)
	w.buf = strconv.AppendFloat(w.buf, v, 'f', -1, 64)
	if bytes.IndexByte(w.buf[start:], '.') < 0 {
		w.buf = append(w.buf, ".0"...)
	}
}

func (w *writer) null() {
	w.next()
	w.buf = append(w.buf, "null"...)
}

func (w *writer) string(s string) {
	w.next()
	w.buf = appendString(w.buf, s)
}

func (w *writer) keyUint(k string, v uint64) {
	w.key(k)
	w.uint(v)
}

func (w *writer) keyFloat(k string, v float64) {
	w.key(k)
	w.float(v)
}

// keyPositive writes a number that the API has as an unsigned one. Producers can
// send negative values, which the kinds of the API do not have.
func (w *writer) keyPositive(k string, v int64) { w.keyInt(k, max(v, 0)) }

func (w *writer) keyInt(k string, v int64) {
	w.key(k)
	w.int(v)
}

// keyText writes null for the empty string, which stands for not known.
func (w *writer) keyText(k, v string) {
	w.key(k)
	if v == "" {
		w.null()
		return
	}
	w.string(v)
}

func (w *writer) flush() {
	if w.err == nil {
		_, w.err = w.out.Write(w.buf)
	}
	w.buf = w.buf[:0]
}

const hexDigits = "0123456789abcdef"

// appendString appends s as a JSON string (RFC 8259 section 7). What is not
// UTF-8 becomes U+FFFD.
func appendString(b []byte, s string) []byte {
	b = append(b, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' && c < utf8.RuneSelf {
			i++
			continue
		}
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRuneInString(s[i:])
			if r != utf8.RuneError || size > 1 {
				i += size
				continue
			}
			b = append(b, s[start:i]...)
			b = append(b, `\ufffd`...)
		} else {
			b = append(b, s[start:i]...)
			switch c {
			case '"', '\\':
				b = append(b, '\\', c)
			case '\n':
				b = append(b, '\\', 'n')
			case '\t':
				b = append(b, '\\', 't')
			default:
				b = append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
			}
		}
		i++
		start = i
	}
	b = append(b, s[start:]...)
	return append(b, '"')
}
