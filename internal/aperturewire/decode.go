package aperturewire

import "unsafe"

// Encoded sizes that bound a length before it is believed. The smallest event of
// both schemas is a system call with an empty name.
const (
	headerSize   = 4 + 8 + 8
	minEventSize = 4 + 8 + 4 + 4 + 4 + 8 + 8 + 8
)

// Message is a decoded payload. It is a view of the payload, cheap to copy, and
// safe for concurrent use as long as nobody changes the payload.
type Message struct {
	// Sequence is the agent's number of the message.
	Sequence uint64
	// Legacy is true if the events are in the schema of old agents, which know no
	// symbols.
	Legacy bool

	count int
	body  string // the encoded events, checked
}

// Decode checks a payload and returns the message in it, which aliases the
// payload. The error is a [*DecodeError].
func Decode(payload []byte) (Message, error) {
	data := unsafe.String(unsafe.SliceData(payload), len(payload))
	m, err := check(data, false)
	if err == nil {
		return m, nil
	}
	m, legacyErr := check(data, true)
	if legacyErr == nil {
		return m, nil
	}
	if *legacyErr != *err {
		err.Legacy = legacyErr
	}
	return Message{}, err
}

// check walks over the whole payload in one of the two schemas.
func check(data string, legacy bool) (Message, *DecodeError) {
	r := reader{data: data, legacy: legacy, event: -1, checking: true}
	if !r.need(headerSize, "header") {
		return Message{}, r.err
	}
	if version := r.u32(); version != Version {
		r.off = 0
		r.fail("version", ErrInvalid, uint64(version), Version)
		return Message{}, r.err
	}
	m := Message{Sequence: r.u64(), Legacy: legacy}
	n := r.u64()
	if limit := uint64(r.left() / minEventSize); n > limit {
		r.off -= 8
		r.fail("events", ErrTooLong, n, limit)
		return Message{}, r.err
	}
	m.count = int(n)
	start := r.off
	var ev Event
	for r.event = 0; r.event < m.count; r.event++ {
		if !r.read(&ev) {
			return Message{}, r.err
		}
	}
	if legacy && r.left() > 0 {
		r.event = -1
		r.fail("end", ErrTrailing, uint64(r.left()), 0)
		return Message{}, r.err
	}
	m.body = data[start:r.off]
	return m, nil
}

// Len returns the number of events.
func (m *Message) Len() int { return m.count }

// Events returns an iterator over the events in the order of the payload.
func (m *Message) Events() Events {
	return Events{r: reader{data: m.body, legacy: m.Legacy}, left: m.count}
}

// Events iterates over the events of a message.
type Events struct {
	r    reader
	left int
}

// Next stores the next event in ev and reports whether there was one. It
// overwrites all of ev.
func (it *Events) Next(ev *Event) bool {
	if it.left == 0 {
		return false
	}
	it.left--
	if !it.r.read(ev) {
		// Decode has walked over the same bytes.
		panic("BUG: a checked payload became undecodable, it was changed while in use: " + it.r.err.Error())
	}
	return true
}
