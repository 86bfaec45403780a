package apertureapiextension

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"unicode/utf8"
)

// maxBody is the largest body of a query in bytes.
const maxBody = 1 << 20

// readBody reads the JSON object that asks for an aggregate.
func (q *query) readBody(w http.ResponseWriter, r *http.Request) error {
	text, err := readBody(w, r)
	if err != nil {
		return err
	}
	return q.parseBody(text)
}

// errSlowBody is the fault of a client that does not send what it announced.
var errSlowBody = errors.New("read body: it did not come in time")

// readBody returns the body of a query.
func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			return nil, fmt.Errorf("read body: %w: the limit is %d bytes", err, tooLarge.Limit)
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return nil, errSlowBody
		}
		return nil, invalid("body", "%s", err)
	}
	return text, nil
}

// parseBody parses the JSON object that asks for an aggregate. Unknown keys are
// ignored and null is the same as absent, as upstream has it; a key that is
// there twice is refused, because parsers disagree about its meaning.
func (q *query) parseBody(text []byte) error {
	fields, err := queryFields(text)
	if err != nil {
		return err
	}
	if err := setFields(fields, []jsonField{
		{"agent_id", textField("agent_id", q.setAgentID)},
		{"time_start_ns", intField("time_start_ns", q.setStart)},
		{"time_end_ns", intField("time_end_ns", q.setEnd)},
		{"limit", intField("limit", q.setLimit)},
		{"event_type", textField("event_type", q.setKind)},
		{"service", textField("service", q.setService)},
		{"frame_order", textField("frame_order", q.setOrder)},
		{"labels", q.labelsField},
	}); err != nil {
		return err
	}
	return q.check()
}

// queryFields returns the fields of a query. Bytes that are no text would be
// looked for as something else than was sent.
func queryFields(text []byte) (map[string]json.RawMessage, error) {
	if !utf8.Valid(text) {
		return nil, invalid("body", "it is not UTF-8")
	}
	return objectFields("body", text)
}

// jsonField is a key of a request's JSON object and what takes its value.
type jsonField struct {
	key string
	set func(json.RawMessage) error
}

// setFields takes the fields that are there, in the order of the list.
func setFields(fields map[string]json.RawMessage, list []jsonField) error {
	for _, f := range list {
		value, ok := fields[f.key]
		if !ok || bytes.Equal(value, []byte("null")) {
			continue
		}
		if err := f.set(value); err != nil {
			return err
		}
	}
	return nil
}

func textField(key string, set func(string) error) func(json.RawMessage) error {
	return func(value json.RawMessage) error {
		var s string
		if err := json.Unmarshal(value, &s); err != nil {
			return invalid(key, "it is %s; it must be a string", excerpt(value))
		}
		return set(s)
	}
}

func intField(key string, set func(int64) error) func(json.RawMessage) error {
	return func(value json.RawMessage) error {
		v, err := strconv.ParseInt(string(value), 10, 64)
		if err != nil {
			return invalid(key, "it is %s; it must be an integer from 0 to 2^63-1", excerpt(value))
		}
		return set(v)
	}
}

func (q *query) labelsField(value json.RawMessage) error {
	if value[0] != '{' {
		return invalid("labels", "it is %s; it must be an object of strings", excerpt(value))
	}
	fields, err := objectFields("labels", value)
	if err != nil {
		return err
	}
	for name, v := range fields {
		if bytes.Equal(v, []byte("null")) {
			return invalid("labels."+name, "it is null; it must be a string")
		}
		err := textField("labels."+name, func(s string) error { return q.setLabel(name, s) })(v)
		if err != nil {
			return err
		}
	}
	return nil
}

// objectFields returns the values of a JSON object. field names it in errors.
func objectFields(field string, text []byte) (map[string]json.RawMessage, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	open, err := d.Token()
	if err != nil {
		return nil, invalid(field, "it is no JSON: %s", jsonError(err))
	}
	if open != json.Delim('{') {
		return nil, invalid(field, "it must be a JSON object")
	}
	fields := make(map[string]json.RawMessage)
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return nil, invalid(field, "it is no JSON: %s", jsonError(err))
		}
		name, ok := key.(string)
		if !ok {
			return nil, invalid(field, "it is no JSON: a key is no string")
		}
		if _, twice := fields[name]; twice {
			return nil, invalid(name, "it is there twice")
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return nil, invalid(field, "it is no JSON: %s", jsonError(err))
		}
		fields[name] = value
	}
	if _, err := d.Token(); err != nil {
		return nil, invalid(field, "it is no JSON: %s", jsonError(err))
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, invalid(field, "there is something after the JSON object")
	}
	return fields, nil
}

func jsonError(err error) string {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return "it ends too early"
	}
	return err.Error()
}

// excerpt returns a value for an error message.
func excerpt(value []byte) string {
	const most = 64
	if len(value) > most {
		return strconv.Quote(string(value[:most])) + "…"
	}
	return string(value)
}
