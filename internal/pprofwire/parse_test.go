package pprofwire

import (
	"strings"
	"testing"

	pprof "github.com/google/pprof/profile"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protowire"
)

func TestParse(t *testing.T) {
	for name, data := range map[string][]byte{"plain": small(), "gzipped": gzipped(small())} {
		t.Run(name, func(t *testing.T) {
			p, err := Parse(data, Limits{})
			require.NoError(t, err)
			text := func(i uint32) string { return p.String(i) }
			require.Len(t, p.SampleTypes, 2)
			assert.Equal(t, "cpu", text(p.SampleTypes[1].Type))
			assert.Equal(t, "nanoseconds", text(p.SampleTypes[1].Unit))
			assert.EqualValues(t, 1_700_000_000_000_000_000, p.TimeNanos)
			assert.EqualValues(t, 10_000_000_000, p.DurationNanos)
			assert.EqualValues(t, 10, p.Period)
			assert.Equal(t, p.SampleTypes[1], p.PeriodType)
			assert.Equal(t, []uint32{6}, p.Comments)
			assert.Equal(t, "cpu", text(p.DefaultSampleType))
			assert.Empty(t, text(p.DropFrames)+text(p.KeepFrames)+text(p.DocURL))
			assert.Equal(t, 15, p.NumStrings())

			assert.Equal(t, []Mapping{{ID: 1, Start: 0x1000, Limit: 0x2000, Offset: 0x10, Filename: 5, BuildID: 10, HasFunctions: true}}, p.Mappings)
			assert.Equal(t, []Function{{ID: 1, Name: 11, SystemName: 12, Filename: 13, StartLine: 2}, {ID: 2, Name: 14}}, p.Functions)
			require.Len(t, p.Locations, 3)
			assert.Equal(t, []Line{{Function: 0, Line: 3}}, p.Lines(0))
			assert.Equal(t, []Line{{Function: 1, Line: 7, Column: 5}, {Function: 0, Line: 9}}, p.Lines(1))
			assert.Empty(t, p.Lines(2))
			assert.True(t, p.Locations[1].IsFolded)
			assert.Equal(t, 0, p.Locations[0].Mapping)
			assert.Equal(t, -1, p.Locations[2].Mapping)
			assert.Equal(t, uint64(0xffff_ffff_8100_0000), p.Locations[2].Address)

			require.Equal(t, 2, p.NumSamples())
			assert.Equal(t, Sample{
				Locations: []uint32{0, 1}, Values: []int64{3, 30},
				Labels: []Label{{Key: 6, Str: 7}, {Key: 8, Num: 64, Unit: 9}},
			}, p.Sample(0))
			assert.Equal(t, Sample{Locations: []uint32{1, 2}, Values: []int64{1, -10}, Labels: []Label{}}, p.Sample(1))
		})
	}
}

// Ids may be any numbers; most are not those of other programs' tables.
func TestIDs(t *testing.T) {
	most := uint64(1<<64 - 1)
	for name, ids := range map[string][3]uint64{
		"sequential": {1, 2, 3}, "dense": {3, 1, 2}, "gaps": {40, 2, 50}, "sparse": {most, 1, 1 << 40},
	} {
		f := new(file).bytes(fieldSampleType, nil).bytes(fieldSample, new(file).bytes(1, packed(ids[2], ids[0], ids[1])).number(2, 7).b)
		for i, id := range ids {
			next := ids[(i+1)%3]
			f.bytes(fieldLocation, new(file).number(1, id).number(2, next).bytes(4, numbers(1, next)).b)
			f.bytes(fieldFunction, numbers(1, id, 5, uint64(i))).bytes(fieldMapping, numbers(1, id))
		}
		f.strings("")
		var p Profile
		for range 2 { // with the memory of another profile
			require.NoError(t, p.Parse(f.b, Limits{}), name)
			assert.Equal(t, []uint32{2, 0, 1}, p.Sample(0).Locations, name)
			for i, l := range p.Locations {
				assert.Equal(t, (i+1)%3, l.Mapping, name)
				assert.Equal(t, (i+1)%3, p.Lines(uint32(i))[0].Function, name)
			}
			require.NoError(t, p.Parse(small(), Limits{}))
		}
		again := new(file).bytes(fieldLocation, numbers(1, ids[1])).b
		require.ErrorContains(t, p.Parse(append(f.b, again...), Limits{}), "location[3].id is", name)
	}
}

// What the format allows and few programs write.
func TestUnusual(t *testing.T) {
	unknown := new(file).number(1, 1).number(99, 5).bytes(98, []byte("x"))
	unknown.b = protowire.AppendFixed64(protowire.AppendTag(unknown.b, 97, protowire.Fixed64Type), 1)
	unknown.b = protowire.AppendFixed32(protowire.AppendTag(unknown.b, 96, protowire.Fixed32Type), 1)
	f := new(file).strings("").bytes(fieldSampleType, nil)
	f.bytes(fieldLocation, append(unknown.b, numbers(2, 77)...)).bytes(fieldFunction, unknown.b).bytes(fieldMapping, unknown.b)
	f.bytes(fieldSample, append(new(file).bytes(1, packed(1)).number(1, 1).bytes(1, nil).bytes(2, packed(5)).b, unknown.b[2:]...))
	f.b = append(f.b, unknown.b[2:]...)
	f.bytes(fieldComment, packed(0, 0)).number(fieldTime, 0).number(fieldTime, 4)
	p, err := Parse(f.b, Limits{})
	require.NoError(t, err)
	assert.Equal(t, []uint32{0, 0}, p.Sample(0).Locations)
	assert.Equal(t, []int64{5}, p.Sample(0).Values)
	assert.Equal(t, -1, p.Locations[0].Mapping, "a mapping that is not there is none")
	assert.Equal(t, []uint32{0, 0}, p.Comments)
	assert.EqualValues(t, 4, p.TimeNanos)

	empty, err := Parse(new(file).strings("").b, Limits{})
	require.NoError(t, err)
	assert.Zero(t, empty.NumSamples())

	broken, err := Parse(new(file).strings("", "a\xffb").b, Limits{})
	require.NoError(t, err)
	assert.Equal(t, "a\xffb", broken.String(1))
	assert.Equal(t, "a\ufffdb", broken.Text(1))
}

// What is cut off is an error, unless it is cut between two fields and nothing
// refers to what is missing; then the rest is as it was.
func TestTruncated(t *testing.T) {
	data := small()
	whole, err := Parse(data, Limits{})
	require.NoError(t, err)
	ends := map[int]bool{}
	for i := 0; i < len(data); {
		_, _, n := protowire.ConsumeField(data[i:])
		i += n
		ends[i] = true
	}
	valid := 0
	var p Profile
	for n := range data {
		err := p.Parse(data[:n:n], Limits{})
		if err != nil {
			require.ErrorIs(t, err, ErrInvalid)
			require.Zero(t, p.NumSamples(), "nothing is left after an error")
			continue
		}
		valid++
		require.True(t, ends[n], "%d of %d bytes", n, len(data))
		require.Equal(t, whole.NumSamples(), p.NumSamples(), "%d of %d bytes", n, len(data))
	}
	assert.Equal(t, 6, valid, "without one or more of the fields behind the strings that the others need")
	zipped := gzipped(data)
	for n := range zipped {
		require.ErrorIs(t, p.Parse(zipped[:n:n], Limits{}), ErrInvalid, "%d of %d bytes", n, len(zipped))
	}
}

// Memory is used again; nothing of an earlier profile shows through.
func TestParseAgain(t *testing.T) {
	var p Profile
	large := gunzipped(t, recorded(t, "memory.pb.gz"))
	for range 3 {
		require.NoError(t, p.Parse(large, Limits{}))
		require.NoError(t, p.Parse(small(), Limits{}))
		fresh, err := Parse(small(), Limits{})
		require.NoError(t, err)
		assert.Equal(t, sumsOfWire(fresh), sumsOfWire(&p))
		assert.Len(t, p.Comments, 1)
	}
	require.NoError(t, p.Parse(large, Limits{}))
	assert.Zero(t, testing.AllocsPerRun(10, func() {
		if p.Parse(large, Limits{}) != nil || p.NumSamples() == 0 {
			t.Error("not parsed")
		}
	}))
	assert.Zero(t, testing.AllocsPerRun(10, func() {
		for i := range p.NumSamples() {
			if s := p.Sample(i); len(s.Values) != 2 {
				t.Error(s)
			}
		}
	}))
}

// What we accept, google/pprof accepts, and reads the same.
func FuzzParse(f *testing.F) {
	f.Add(small())
	f.Add(gzipped(small()))
	for _, tt := range hostile {
		f.Add(tt.data())
	}
	limits := Limits{MaxBytes: 1 << 20, MaxFrames: 64, MaxLabels: 8}
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := Parse(data, limits)
		if err != nil {
			require.True(t, strings.HasPrefix(err.Error(), "decode pprof: "), err)
			return
		}
		converts(t, p)
		if isGzip(data) {
			return
		}
		reference, err := pprof.ParseUncompressed(data)
		require.NoError(t, err)
		require.NoError(t, reference.CheckValid())
		require.Equal(t, sumsOfReference(reference), sumsOfWire(p))
	})
}

func TestIsProfile(t *testing.T) {
	data := small()
	assert.True(t, IsProfile(data))
	assert.True(t, IsProfile(nil))
	complete := 0
	for n := range data {
		if IsProfile(data[:n]) {
			complete++ // a cut between two fields
		}
	}
	assert.Equal(t, 31, complete)
	for _, other := range []string{"a;b 1\n", "main", "\xff\xff\xff", "\x00\x01", "\x82\x01\x00", "\x35abcd"} {
		assert.False(t, IsProfile([]byte(other)), "%q", other)
	}
}
