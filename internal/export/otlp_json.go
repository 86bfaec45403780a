package export

import "strconv"

// otlpJSON writes OTLP/JSON, https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding:
// integers of 64 bits are strings.
type otlpJSON struct {
	jsonWriter
	levels []otlpLevel
}

// otlpLevel is an object or an array that is open.
type otlpLevel struct{ list, filled bool }

func (j *otlpJSON) failed() bool { return j.err != nil }

func (j *otlpJSON) open(bracket string, list bool) {
	j.raw(bracket)
	j.levels = append(j.levels, otlpLevel{list: list})
}

func (j *otlpJSON) close(bracket string) {
	j.raw(bracket)
	j.levels = j.levels[:len(j.levels)-1]
}

// key begins a field, or an element of a list.
func (j *otlpJSON) key(f otlpField) {
	l := &j.levels[len(j.levels)-1]
	if l.filled {
		j.raw(",")
	}
	l.filled = true
	if !l.list {
		j.raw(`"`)
		j.raw(f.name)
		j.raw(`":`)
	}
}

func (j *otlpJSON) list(f otlpField) {
	j.key(f)
	j.open("[", true)
}

func (j *otlpJSON) endList() { j.close("]") }

func (j *otlpJSON) begin(f otlpField) {
	j.key(f)
	j.open("{", false)
}

func (j *otlpJSON) end() { j.close("}") }

func (j *otlpJSON) text(f otlpField, s string) {
	j.key(f)
	j.string(s)
}

func (j *otlpJSON) flag(f otlpField) {
	j.key(f)
	j.raw("true")
}

func (j *otlpJSON) index(f otlpField, v int32) {
	if v != 0 {
		j.key(f)
		j.jsonWriter.int(int64(v))
	}
}

func (j *otlpJSON) indices(f otlpField, values []int32) {
	if len(values) == 0 {
		return
	}
	j.list(f)
	for _, v := range values {
		j.key(f)
		j.jsonWriter.int(int64(v))
	}
	j.endList()
}

func (j *otlpJSON) int(f otlpField, v int64) {
	if v != 0 {
		j.number(f, v)
	}
}

func (j *otlpJSON) number(f otlpField, v int64) {
	j.key(f)
	j.quoted(v)
}

func (j *otlpJSON) quoted(v int64) {
	j.raw(`"`)
	j.jsonWriter.int(v)
	j.raw(`"`)
}

func (j *otlpJSON) uint(f otlpField, v uint64) {
	if v != 0 {
		j.key(f)
		j.raw(`"`)
		j.buf = strconv.AppendUint(j.buf, v, 10)
		j.raw(`"`)
	}
}

func (j *otlpJSON) time(f otlpField, v uint64) { j.uint(f, v) }

func (j *otlpJSON) ints(f otlpField, values []int64) {
	j.list(f)
	for _, v := range values {
		j.key(f)
		j.quoted(v)
	}
	j.endList()
}
