package export

import (
	"io"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
)

// otlpProto writes protobuf, where the length of a message comes before it. What
// it is told is told twice: the first time it only counts, and notes how long the
// large messages are.
type otlpProto struct {
	out io.Writer // nil while it counts
	buf []byte
	// written is the number of bytes that are not in buf any more.
	written int
	// sizes are of the large messages in the order in which they begin; next is
	// the one that begins next.
	sizes []int
	next  int
	// opened are the messages that have begun and not ended.
	opened []otlpOpened
	small  int // of opened
	err    error
}

type otlpOpened struct {
	large bool
	// at is where the content starts: in buf, or in all that is written.
	at   int
	size int // index into sizes
}

// writeTwice calls tell, which must tell the same both times.
func (p *otlpProto) writeTwice(w io.Writer, tell func()) error {
	tell()
	p.out, p.buf, p.written, p.next = w, p.buf[:0], 0, 0
	tell()
	p.flush()
	return p.err
}

func (p *otlpProto) failed() bool { return p.err != nil }

func (*otlpProto) list(otlpField) {}
func (*otlpProto) endList()       {}

func (p *otlpProto) begin(f otlpField) {
	p.buf = protowire.AppendTag(p.buf, f.number, protowire.BytesType)
	if !f.large {
		p.small++
		p.opened = append(p.opened, otlpOpened{at: len(p.buf)})
		return
	}
	if p.out == nil {
		p.sizes = append(p.sizes, 0)
	} else {
		p.buf = protowire.AppendVarint(p.buf, uint64(p.sizes[p.next]))
	}
	p.opened = append(p.opened, otlpOpened{large: true, at: p.written + len(p.buf), size: p.next})
	p.next++
}

func (p *otlpProto) end() {
	o := p.opened[len(p.opened)-1]
	p.opened = p.opened[:len(p.opened)-1]
	if o.large {
		if p.out == nil {
			size := p.written + len(p.buf) - o.at
			p.sizes[o.size] = size
			p.written += protowire.SizeVarint(uint64(size))
		}
		return
	}
	p.small--
	size := uint64(len(p.buf) - o.at)
	var length [10]byte
	p.buf = slices.Insert(p.buf, o.at, protowire.AppendVarint(length[:0], size)...)
	p.check()
}

// check hands on what is gathered, unless a length has yet to come before it.
func (p *otlpProto) check() {
	if p.small == 0 && len(p.buf) >= flushAt {
		p.flush()
	}
}

func (p *otlpProto) flush() {
	p.written += len(p.buf)
	if p.out != nil && p.err == nil {
		_, p.err = p.out.Write(p.buf)
	}
	p.buf = p.buf[:0]
}

func (p *otlpProto) text(f otlpField, s string) {
	p.buf = protowire.AppendTag(p.buf, f.number, protowire.BytesType)
	p.buf = protowire.AppendString(p.buf, s)
	p.check()
}

func (p *otlpProto) flag(f otlpField)           { p.buf = appendVarint(p.buf, f.number, 1) }
func (p *otlpProto) index(f otlpField, v int32) { p.buf = appendVarint(p.buf, f.number, uint64(v)) }
func (p *otlpProto) int(f otlpField, v int64)   { p.buf = appendVarint(p.buf, f.number, uint64(v)) }
func (p *otlpProto) uint(f otlpField, v uint64) { p.buf = appendVarint(p.buf, f.number, v) }

func (p *otlpProto) number(f otlpField, v int64) {
	p.buf = protowire.AppendTag(p.buf, f.number, protowire.VarintType)
	p.buf = protowire.AppendVarint(p.buf, uint64(v))
}

func (p *otlpProto) time(f otlpField, v uint64) {
	p.buf = protowire.AppendTag(p.buf, f.number, protowire.Fixed64Type)
	p.buf = protowire.AppendFixed64(p.buf, v)
}

func (p *otlpProto) indices(f otlpField, v []int32) { packed(p, f, v) }
func (p *otlpProto) ints(f otlpField, v []int64)    { packed(p, f, v) }

func packed[T int32 | int64](p *otlpProto, f otlpField, values []T) {
	if len(values) == 0 {
		return
	}
	size := 0
	for _, v := range values {
		size += protowire.SizeVarint(uint64(v))
	}
	p.buf = protowire.AppendTag(p.buf, f.number, protowire.BytesType)
	p.buf = protowire.AppendVarint(p.buf, uint64(size))
	for _, v := range values {
		p.buf = protowire.AppendVarint(p.buf, uint64(v))
	}
}
