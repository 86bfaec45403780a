package profileimport

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/internal/profile"
)

// jfrWriter writes recordings that are smaller than any that a JVM makes.
type jfrWriter struct{ b []byte }

func (w *jfrWriter) long(values ...uint64) {
	for _, v := range values {
		for n := 0; n < 8 && v >= 0x80; n++ {
			w.b = append(w.b, byte(v)|0x80)
			v >>= 7
		}
		w.b = append(w.b, byte(v))
	}
}

func (w *jfrWriter) string(s string) {
	w.b = append(w.b, jfrUTF8)
	w.long(uint64(len(s)))
	w.b = append(w.b, s...)
}

// Types of the small recording.
const (
	jfrLong = iota + 1
	jfrString
	jfrSymbol
	jfrClassType
	jfrMethodType
	jfrStackFrame
	jfrStackTrace
	jfrExecutionSample
	jfrMonitorEnter
	jfrAllocation
	jfrInTLAB
	jfrOutsideTLAB
)

// smallTypes describes them: a name, then the fields.
var smallTypes = []struct {
	id     int
	name   string
	fields []jfrField
}{
	{jfrLong, "long", nil},
	{jfrString, "java.lang.String", nil},
	{jfrSymbol, "jdk.types.Symbol", []jfrField{{name: "string", typ: jfrString}}},
	{jfrClassType, "java.lang.Class", []jfrField{{name: "name", typ: jfrSymbol, constant: true}}},
	{jfrMethodType, "jdk.types.Method", []jfrField{{name: "type", typ: jfrClassType, constant: true}, {name: "name", typ: jfrSymbol, constant: true}}},
	{jfrStackFrame, "jdk.types.StackFrame", []jfrField{{name: "method", typ: jfrMethodType, constant: true}, {name: "lineNumber", typ: jfrLong}}},
	{jfrStackTrace, "jdk.types.StackTrace", []jfrField{{name: "frames", typ: jfrStackFrame, array: true}}},
	{jfrExecutionSample, "jdk.ExecutionSample", []jfrField{{name: "stackTrace", typ: jfrStackTrace, constant: true}}},
	{jfrMonitorEnter, "jdk.JavaMonitorEnter", valueAndStack("duration")},
	{jfrAllocation, "jdk.ObjectAllocationSample", valueAndStack("weight")},
	{jfrInTLAB, "jdk.ObjectAllocationInNewTLAB", valueAndStack("tlabSize")},
	{jfrOutsideTLAB, "jdk.ObjectAllocationOutsideTLAB", valueAndStack("allocationSize")},
}

func valueAndStack(value string) []jfrField {
	return []jfrField{{name: value, typ: jfrLong}, {name: "stackTrace", typ: jfrStackTrace, constant: true}}
}

// smallJFR has one stack of two frames, a sample of it and a wait of 2000 ticks, which
// are nanoseconds.
func smallJFR() []byte {
	return jfrOf([]uint64{jfrExecutionSample, 1}, []uint64{jfrMonitorEnter, 2000, 1})
}

// jfrOf has one stack, whose number is 1, and events of these numbers.
func jfrOf(events ...[]uint64) []byte {
	w := &jfrWriter{b: make([]byte, jfrHeaderSize)}
	for _, values := range events {
		w.event(func(e *jfrWriter) { e.long(values...) })
	}
	constants := len(w.b)
	w.event(func(e *jfrWriter) {
		e.long(1, 0, 0, 0)
		e.b = append(e.b, 0)
		e.long(4)
		e.long(jfrSymbol, 2, 1)
		e.string("a/B")
		e.long(2)
		e.string("c")
		e.long(jfrClassType, 1, 1, 1)
		e.long(jfrMethodType, 1, 1, 1, 2)
		e.long(jfrStackTrace, 1, 1, 2, 1, 7, 9, 0) // method 9 is not known
	})
	meta := len(w.b)
	w.event((*jfrWriter).metadata)
	binary.BigEndian.PutUint32(w.b, 0x464c5200)
	binary.BigEndian.PutUint16(w.b[4:], 2)
	for i, v := range []int{len(w.b), constants, meta, 1_700_000_000_000_000_000, 1000, 0, 1_000_000_000} {
		binary.BigEndian.PutUint64(w.b[8+8*i:], uint64(v))
	}
	binary.BigEndian.PutUint32(w.b[64:], jfrCompressed)
	return w.b
}

// event writes what write writes with its size before it.
func (w *jfrWriter) event(write func(*jfrWriter)) {
	var body, size jfrWriter
	write(&body)
	for n := 1; len(size.b) != n; {
		n = max(n, len(size.b))
		size.b = nil
		size.long(uint64(len(body.b) + n))
	}
	w.b = slices.Concat(w.b, size.b, body.b)
}

func (w *jfrWriter) metadata() {
	var texts []string
	text := func(s string) uint64 {
		i := slices.Index(texts, s)
		if i < 0 {
			i = len(texts)
			texts = append(texts, s)
		}
		return uint64(i)
	}
	var tree jfrWriter
	tree.long(text("root"), 0, 1, text("metadata"), 0, uint64(len(smallTypes)))
	for _, t := range smallTypes {
		tree.long(text("class"), 2, text("id"), text(strconv.Itoa(t.id)), text("name"), text(t.name), uint64(len(t.fields)))
		for _, f := range t.fields {
			attributes := []uint64{text("name"), text(f.name), text("class"), text(strconv.Itoa(int(f.typ)))}
			if f.constant {
				attributes = append(attributes, text("constantPool"), text("true"))
			}
			if f.array {
				attributes = append(attributes, text("dimension"), text("1"))
			}
			tree.long(text("field"), uint64(len(attributes)/2))
			tree.long(attributes...)
			tree.long(0)
		}
	}
	w.long(0, 0, 0, 1, uint64(len(texts)))
	for _, t := range texts {
		w.string(t)
	}
	w.b = append(w.b, tree.b...)
}

func TestSmallJFR(t *testing.T) {
	profiles, err := JFR(smallJFR())
	require.NoError(t, err)
	require.Len(t, profiles, 2)
	assert.Equal(t, []string{"a.B.c:7", "method 9:0"}, text(profiles[0], profiles[0].Sample(0)))
	assert.Equal(t, []int64{1}, profiles[0].Sample(0).Values)
	assert.Equal(t, []int64{2000, 1}, profiles[1].Sample(0).Values)
	assert.EqualValues(t, 1_700_000_000_000_000_000, profiles[0].TimeNanos)
}

// Allocations that a recording has both by sample and by buffer are counted once.
func TestJFRAllocations(t *testing.T) {
	sample, in, outside := []uint64{jfrAllocation, 100, 1}, []uint64{jfrInTLAB, 70, 1}, []uint64{jfrOutsideTLAB, 8, 1}
	huge := []uint64{jfrAllocation, math.MaxUint64, 1}
	for name, tt := range map[string]struct {
		data []byte
		want int64
	}{
		"buffers":        {jfrOf(in, outside, in), 148},
		"samples":        {jfrOf(sample, sample), 200},
		"both":           {jfrOf(in, sample, outside, in), 100},
		"in two chunks":  {slices.Concat(jfrOf(in, outside), jfrOf(sample)), 100},
		"more than fits": {jfrOf(slices.Repeat([][]uint64{huge}, 100)...), profile.MaxValue},
	} {
		profiles, err := JFR(tt.data)
		require.NoError(t, err, name)
		require.Len(t, profiles, 1, name)
		assert.EqualValues(t, tt.want, sums(split(t, Options{}, profiles...))["alloc_space"]["alloc_space"], name)
	}
}

func TestSmallJFRTruncated(t *testing.T) {
	data := smallJFR()
	for n := range data {
		_, err := JFR(data[:n])
		require.Error(t, err, "%d of %d bytes", n, len(data))
		if n >= jfrHeaderSize {
			cut := slices.Clone(data[:n])
			binary.BigEndian.PutUint64(cut[8:], uint64(n))
			_, err := JFR(cut)
			require.Error(t, err, "%d of %d bytes", n, len(data))
		}
	}
}

// Whatever one byte is, the end is soon and no panic.
func TestSmallJFRChanged(t *testing.T) {
	data := smallJFR()
	for at := range data {
		for _, v := range []byte{0, 1, 0x7f, 0x80, 0xff, byte(rand.Uint32())} {
			b := slices.Clone(data)
			b[at] = v
			if profiles, err := JFR(b); err == nil {
				for _, p := range profiles {
					convertAnything(t, p)
				}
			}
		}
	}
}
