package export

import (
	"encoding/json"
	"io"
	"strconv"
)

// jsonWriter writes JSON that its user puts together. The first error of w stays.
type jsonWriter struct {
	w   io.Writer
	buf []byte
	err error
}

// raw writes text that is JSON.
func (j *jsonWriter) raw(text string) {
	j.buf = append(j.buf, text...)
	if len(j.buf) >= flushAt {
		_ = j.flush()
	}
}

// comma writes a comma unless an element is the first.
func (j *jsonWriter) comma(first *bool) {
	if !*first {
		j.raw(",")
	}
	*first = false
}

func (j *jsonWriter) int(v int64) { j.buf = strconv.AppendInt(j.buf, v, 10) }

// string writes s; what is not UTF-8 becomes U+FFFD.
func (j *jsonWriter) string(s string) {
	// A string always marshals.
	text, _ := json.Marshal(s)
	j.raw(string(text))
}

// keyString writes a key and a string, with the comma in front.
func (j *jsonWriter) keyString(key, value string) {
	j.raw(`,"` + key + `":`)
	j.string(value)
}

// keyInt writes a key and a number, with the comma in front.
func (j *jsonWriter) keyInt(key string, value int64) {
	j.raw(`,"` + key + `":`)
	j.int(value)
}

func (j *jsonWriter) flush() error {
	if j.err == nil {
		_, j.err = j.w.Write(j.buf)
	}
	j.buf = j.buf[:0]
	return j.err
}
