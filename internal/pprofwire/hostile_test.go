package pprofwire

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protowire"
)

// with is a profile of one sample type and one location, with more fields.
func with(fields ...func(*file)) func() []byte {
	return func() []byte {
		f := new(file).strings("").bytes(fieldSampleType, nil).bytes(fieldLocation, numbers(1, 1))
		for _, field := range fields {
			field(f)
		}
		return f.b
	}
}

func message(field int32, m []byte) func(*file) {
	return func(f *file) { f.bytes(protowire.Number(field), m) }
}

func value(field int32, v uint64) func(*file) {
	return func(f *file) { f.number(protowire.Number(field), v) }
}

func raw(b ...byte) func() []byte { return func() []byte { return b } }

func sampleOf(fill func(*file)) func(*file) {
	s := new(file)
	fill(s)
	return message(fieldSample, s.b)
}

var hostile = []struct {
	name string
	data func() []byte
	want string
}{
	{"nothing", raw(), "there is no data"},
	{"text", func() []byte { return []byte("heap profile: 1: 2 [3: 4] @ heap") }, "profile, byte 2: a field has the wire type of another"},
	{"field 0", raw(0, 0), "profile, byte 0: a field has the number 0"},
	{"group", raw(0x83, 1, 0x84, 1), "profile, byte 0: a field has a wire type that protobuf does not have"},
	{"fixed", raw(0x31, 1, 2, 3, 4, 5, 6, 7, 8), "profile, byte 0: a field has the wire type of another"},
	{"short fixed", raw(0x85, 1, 0), "profile, byte 0: a field is longer than what is left of its message"},
	{"number within a number", raw(0x48, 0x80), "profile, byte 0: the data ends within a number"},
	{"long number", raw(0x48, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2), "profile, byte 0: a number has more than 64 bits"},
	{"length of 2^63", raw(0x32, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f), "profile, byte 0: a field is longer than what is left of its message"},
	{"time as text", with(message(fieldTime, []byte("now"))), "profile, byte 8: a field has the wire type of another"},
	{"string as number", with(value(fieldString, 1)), "profile, byte 8: a field has the wire type of another"},
	{"two profiles", func() []byte { return append(small(), small()...) }, "time_nanos is there twice"},
	{"no strings", func() []byte { return new(file).number(fieldPeriod, 1).b }, "string_table is empty; its first entry must be there"},
	{"first string", func() []byte { return new(file).strings("x").b }, "string_table[0] has 1 bytes; it must be empty"},
	{"no types", func() []byte { return new(file).strings("").bytes(fieldSample, nil).b }, "there are 1 samples, but no sample_type"},
	{"string of type", with(message(fieldSampleType, numbers(2, 5))), "sample_type[1].unit is 5; string_table has 1 entries"},
	{"negative string", with(message(fieldPeriodType, numbers(1, 1<<64-1))), "period_type.type is too large; string_table has 1 entries"},
	{"string of comment", with(value(fieldComment, 3)), "comment[0].index is 3; string_table has 1 entries"},
	{"string of doc_url", with(value(fieldDocURL, 3)), "doc_url is 3; string_table has 1 entries"},
	{"string of mapping", with(message(fieldMapping, numbers(1, 1, 6, 9))), "mapping[0].build_id is 9; string_table has 1 entries"},
	{"string of function", with(message(fieldFunction, numbers(1, 1, 3, 9))), "function[0].system_name is 9; string_table has 1 entries"},
	{"string of label", with(sampleOf(func(s *file) { s.number(2, 1).bytes(3, numbers(1, 9, 3, 1)) })), "sample[0].label.key is 9; string_table has 1 entries"},
	{"string of empty label", with(sampleOf(func(s *file) { s.number(2, 1).bytes(3, numbers(1, 9)) })), "sample[0].label.key is 9; string_table has 1 entries"},
	{"id 0 of mapping", with(message(fieldMapping, nil)), "mapping[0].id is 0, which is reserved"},
	{"id 0 of function", with(message(fieldFunction, nil)), "function[0].id is 0, which is reserved"},
	{"id 0 of location", with(message(fieldLocation, nil)), "location[1].id is 0, which is reserved"},
	{"id twice", with(message(fieldLocation, numbers(1, 1))), "location[1].id is 1, as that of location[0]"},
	{"sparse id twice", with(message(fieldLocation, numbers(1, 1<<50)), message(fieldLocation, numbers(1, 1<<50))), "location[2].id is 1125899906842624, as that of location[1]"},
	{"function of line", with(message(fieldLocation, new(file).number(1, 2).bytes(4, numbers(1, 3)).b)), "location[1].line[0].function_id is 3; there is no such function"},
	{"no function of line", with(message(fieldLocation, new(file).number(1, 2).bytes(4, nil).b)), "location[1].line[0].function_id is 0; there is no such function"},
	{"location of sample", with(sampleOf(func(s *file) { s.bytes(1, packed(1, 2)).number(2, 1) })), "sample[0].location_id is 2 at byte 13; there is no such location"},
	{"location 0 of sample", with(sampleOf(func(s *file) { s.number(1, 0).number(2, 1) })), "sample[0].location_id is 0 at byte 10; there is no such location"},
	{"too few values", with(sampleOf(func(s *file) { s.number(1, 1) })), "sample[0] at byte 10 has 0 values; there are 1 sample types"},
	{"too many values", with(sampleOf(func(s *file) { s.bytes(2, packed(1, 2)) })), "sample[0] at byte 10 has more than 1 values; there are 1 sample types"},
	{"value within a number", with(sampleOf(func(s *file) { s.bytes(2, []byte{0x80}) })), "sample[0], byte 12: the data ends within a number"},
	{"location within a number", with(sampleOf(func(s *file) { s.bytes(1, []byte{0x80}) })), "sample[0], byte 12: the data ends within a number"},
	{"text as label", with(sampleOf(func(s *file) { s.number(3, 1) })), "sample[0], byte 10: a field has the wire type of another"},
	{"text in a label", with(sampleOf(func(s *file) { s.bytes(3, new(file).bytes(1, nil).b) })), "sample[0], byte 12: a field has the wire type of another"},
	{"text in a line", with(message(fieldLocation, new(file).bytes(4, new(file).bytes(1, nil).b).b)), "location[1], byte 12: a field has the wire type of another"},
	{"text as mapping of a location", with(message(fieldLocation, new(file).bytes(2, nil).b)), "location[1], byte 10: a field has the wire type of another"},
	{"field within a number", raw(0x80), "profile, byte 0: the data ends within a number"},
	{"comment within a number", with(message(fieldComment, []byte{0x80})), "comment, byte 10: the data ends within a number"},
	{"field of a sample within a number", with(message(fieldSample, []byte{0x80})), "sample[0], byte 10: the data ends within a number"},
	{"field of a location within a number", with(message(fieldLocation, []byte{0x80})), "location[1], byte 10: the data ends within a number"},
	{"field of a mapping within a number", with(message(fieldMapping, []byte{0x80})), "mapping[0], byte 10: the data ends within a number"},
	{"field of a function within a number", with(message(fieldFunction, []byte{8, 0x80})), "function[0], byte 10: the data ends within a number"},
	{"field of a type within a number", with(message(fieldSampleType, []byte{8, 0x80})), "sample_type[1], byte 10: the data ends within a number"},
	{"field of a period within a number", with(message(fieldPeriodType, []byte{0x80})), "period_type, byte 10: the data ends within a number"},
	{"long line", with(message(fieldLocation, []byte{0x22, 1})), "location[1], byte 10: a field is longer than what is left of its message"},
	{"long locations", with(message(fieldSample, []byte{0x0a, 1})), "sample[0], byte 10: a field is longer than what is left of its message"},
	{"long values", with(message(fieldSample, []byte{0x12, 1})), "sample[0], byte 10: a field is longer than what is left of its message"},
	{"long label", with(message(fieldSample, []byte{0x1a, 1})), "sample[0], byte 10: a field is longer than what is left of its message"},
	{"unpacked location within a number", with(message(fieldSample, []byte{0x08, 0x80})), "sample[0], byte 10: the data ends within a number"},
	{"no gzip header", raw(0x1f, 0x8b), "inflate: unexpected EOF"},
	{"no gzip", raw(0x1f, 0x8b, 8, 0), "inflate: unexpected EOF"},
	{"broken gzip", func() []byte { z := gzipped(small()); z[len(z)-6] ^= 1; return z }, "inflate: gzip: invalid checksum"},
}

func TestHostile(t *testing.T) {
	for _, tt := range hostile {
		p, err := Parse(tt.data(), Limits{})
		require.ErrorIs(t, err, ErrInvalid, tt.name)
		require.ErrorContains(t, err, tt.want, tt.name)
		assert.Nil(t, p, tt.name)
	}
}

func TestLimits(t *testing.T) {
	times := func(n int, fields ...func(*file)) func() []byte {
		var all []func(*file)
		for range n {
			all = append(all, fields...)
		}
		return with(all...)
	}
	two := sampleOf(func(s *file) { s.bytes(1, packed(1, 1)).number(2, 1).bytes(3, numbers(3, 1)).bytes(3, numbers(3, 2)) })
	inlined := message(fieldLocation, new(file).number(1, 2).bytes(4, numbers(1, 1)).bytes(4, numbers(1, 1)).b)
	function := message(fieldFunction, numbers(1, 1))
	deep := sampleOf(func(s *file) { s.bytes(1, packed(1, 2)).number(2, 1) })
	for name, tt := range map[string]struct {
		data []byte
		at   Limits // just enough
		less Limits
		want string
	}{
		"bytes":     {times(3, two)(), Limits{MaxBytes: 56}, Limits{MaxBytes: 55}, "the profile has 56 bytes; the limit is 55"},
		"inflated":  {gzipped(times(3, two)()), Limits{MaxBytes: 56}, Limits{MaxBytes: 55}, "the inflated profile has more than 55 bytes"},
		"samples":   {times(3, two)(), Limits{MaxSamples: 3}, Limits{MaxSamples: 2}, "sample has more than 2 entries"},
		"locations": {with(function, inlined)(), Limits{MaxLocations: 2}, Limits{MaxLocations: 1}, "location has more than 1 entries"},
		"functions": {with(function, message(fieldFunction, numbers(1, 2)))(), Limits{MaxFunctions: 2}, Limits{MaxFunctions: 1}, "function has more than 1 entries"},
		"strings":   {times(2, message(fieldString, nil))(), Limits{MaxStrings: 3}, Limits{MaxStrings: 2}, "string_table has more than 2 entries"},
		"string":    {with(message(fieldString, []byte("abc")))(), Limits{MaxStringLength: 3}, Limits{MaxStringLength: 2}, "string_table[1] has 3 bytes; the limit is 2"},
		"frames":    {times(1, two)(), Limits{MaxFrames: 2}, Limits{MaxFrames: 1}, "sample[0] has more than 1 frames"},
		"unpacked":  {with(sampleOf(func(s *file) { s.number(1, 1).number(1, 1).number(2, 1) }))(), Limits{MaxFrames: 2}, Limits{MaxFrames: 1}, "sample[0] has more than 1 frames"},
		"inlined":   {with(function, inlined, deep)(), Limits{MaxFrames: 3}, Limits{MaxFrames: 2}, "sample[0] has 3 frames; the limit is 2"},
		"lines":     {with(function, inlined)(), Limits{MaxFrames: 2}, Limits{MaxFrames: 1}, "location[1] has more than 1 lines"},
		"all lines": {with(function, inlined, message(fieldLocation, new(file).number(1, 3).bytes(4, numbers(1, 1)).b))(), Limits{MaxLines: 3}, Limits{MaxLines: 2}, "the locations have more than 2 lines"},
		"labels":    {times(1, two)(), Limits{MaxLabels: 2}, Limits{MaxLabels: 1}, "sample[0] has more than 1 labels"},
		"types":     {times(63, message(fieldSampleType, nil))(), Limits{}, Limits{}, ""},
		"64 types":  {times(64, message(fieldSampleType, nil))(), Limits{MaxSamples: -1}, Limits{}, "sample_type has more than 64 entries"},
		"comments":  {times(maxComments+1, value(fieldComment, 0))(), Limits{MaxSamples: -1}, Limits{}, "comment has more than 4096 entries"},
		"mappings":  {times(maxMappings+1, message(fieldMapping, nil))(), Limits{MaxSamples: -1}, Limits{}, "mapping has more than 65536 entries"},
		"packed":    {with(message(fieldComment, make([]byte, maxComments+1)))(), Limits{MaxSamples: -1}, Limits{}, "comment has more than 4096 entries"},
	} {
		if tt.at.MaxSamples >= 0 {
			_, err := Parse(tt.data, tt.at)
			require.NoError(t, err, name)
		}
		if tt.want == "" {
			continue
		}
		_, err := Parse(tt.data, tt.less)
		require.ErrorIs(t, err, ErrTooLarge, name)
		require.ErrorContains(t, err, tt.want, name)
	}
}

// TestBoundedBeforeDecoding: limits are known while memory is taken, and not when all
// of it was.
func TestBoundedBeforeDecoding(t *testing.T) {
	const n = 1 << 20
	few := Limits{MaxFrames: 8, MaxLabels: 8}
	lines := bytes.Repeat([]byte{locationLine, 0}, n)
	for name, tt := range map[string]struct {
		data   []byte
		limits Limits
	}{
		"lines of a location": {with(message(fieldLocation, append([]byte{locationID, 2}, lines...)))(), few},
		"lines of locations":  {with(message(fieldLocation, append([]byte{locationID, 2}, lines...)))(), Limits{MaxFrames: n, MaxLines: 8}},
		"packed locations":    {with(sampleOf(func(s *file) { s.bytes(1, bytes.Repeat([]byte{1}, n)) }))(), few},
		"locations":           {with(message(fieldSample, bytes.Repeat([]byte{sampleLocation, 1}, n)))(), few},
		"packed values":       {with(sampleOf(func(s *file) { s.bytes(2, make([]byte, n)) }))(), few},
		"values":              {with(message(fieldSample, bytes.Repeat([]byte{sampleValue, 1}, n)))(), few},
		"labels":              {with(message(fieldSample, bytes.Repeat([]byte{sampleLabel, 2, 3 << 3, 1}, n)))(), few},
	} {
		p := new(Profile)
		require.Error(t, p.Parse(tt.data, tt.limits), name)
		assert.Less(t, cap(p.lines)+cap(p.refs)+cap(p.values)+cap(p.labels), 1000, name)
	}
}

// A bomb takes no more memory than the limit.
func TestBomb(t *testing.T) {
	bomb := gzipped(bytes.Repeat([]byte{0x78, 0}, 4<<20)) // period: 0
	require.Less(t, len(bomb), 20<<10)
	for _, limit := range []int{1 << 10, 1 << 20} {
		buf, err := inflate(nil, bomb, limit)
		require.ErrorIs(t, err, ErrTooLarge)
		assert.LessOrEqual(t, cap(buf), limit+outputRoom)
	}
	// The size at the end of the file is not believed.
	liar := gzipped(small())
	copy(liar[len(liar)-4:], []byte{0xff, 0xff, 0xff, 0x7f})
	buf, err := inflate(nil, liar, defaultMaxBytes)
	require.ErrorIs(t, err, ErrInvalid)
	assert.Less(t, cap(buf), maxRatio*len(liar)+outputRoom+2)
	// Several gzip members are one file.
	half := len(small()) / 2
	p, err := Parse(append(gzipped(small()[:half]), gzipped(small()[half:])...), Limits{})
	require.NoError(t, err)
	assert.Equal(t, 2, p.NumSamples())
}
