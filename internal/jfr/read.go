package jfr

import "fmt"

// Handler is told what is in a recording.
type Handler interface {
	// Wants reports whether events of a class are of interest.
	Wants(class string) bool
	// Chunk is called before the events of a chunk.
	Chunk(c *Chunk)
	// Event is called with each event of interest, in the order of the file. e is
	// valid until it returns. An error ends the reading.
	Event(c *Chunk, e *Event) error
}

// Event is an event.
type Event struct {
	// Class is its type, for example jdk.ExecutionSample.
	Class  string
	values []fieldValue
}

type fieldValue struct {
	name   string
	number uint64
	text   string
}

// Number returns the number that a field has: a time in ticks, the key of a constant
// and so on. It is 0 if there is no such field.
func (e *Event) Number(field string) uint64 {
	for i := range e.values {
		if e.values[i].name == field {
			return e.values[i].number
		}
	}
	return 0
}

// Text returns the text that a field has, empty if there is no such field.
func (e *Event) Text(field string) string {
	for i := range e.values {
		if e.values[i].name == field {
			return e.values[i].text
		}
	}
	return ""
}

// Read reads all chunks of a recording.
func Read(data []byte, h Handler) error {
	number := 0
	for rest := data; len(rest) > 0; number++ {
		c, after, err := readChunk(rest)
		if err == nil {
			h.Chunk(c)
			err = c.events(h)
		}
		if err != nil {
			return fmt.Errorf("decode JFR: chunk %d: %w", number, err)
		}
		rest = after
	}
	return nil
}

// events reads all events of a chunk.
func (c *Chunk) events(h Handler) error {
	r := &c.r
	r.pos = headerSize
	wanted := make(map[*classType]bool, len(c.classes))
	for _, class := range c.classes {
		wanted[class] = h.Wants(class.name)
	}
	var e Event
	for r.err == nil && r.pos < len(r.data) && r.step() {
		first := r.pos
		size := r.long()
		if r.err == nil && (size < uint64(r.pos-first) || size > uint64(len(r.data)-first) || size == 0) {
			r.fail("an event has the size %d; there are %d bytes", size, len(r.data)-first)
		}
		if r.err != nil {
			break
		}
		end := first + int(size)
		if class := c.classes[r.long()]; class != nil && wanted[class] {
			c.event(class, &e)
			if r.err == nil {
				if err := h.Event(c, &e); err != nil {
					return err
				}
			}
		}
		if r.pos > end {
			r.fail("an event is longer than the %d bytes it says", size)
		}
		r.pos = end
	}
	return r.err
}

// event reads the fields of an event.
func (c *Chunk) event(class *classType, e *Event) {
	e.Class, e.values = class.name, e.values[:0]
	c.value(class, 0, func(o *classType, i int, v uint64, text string) {
		if o == class {
			e.values = append(e.values, fieldValue{o.fields[i].name, v, text})
		}
	})
}
