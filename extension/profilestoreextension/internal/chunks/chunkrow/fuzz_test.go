package chunkrow

import (
	"encoding/binary"
	"testing"

	"github.com/ClickHouse/ch-go/proto"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/internal/chunk"
)

// FuzzRow: whatever the columns of a row are, they are refused or can be read.
func FuzzRow(f *testing.F) {
	valid := fuzzRow(f)
	f.Add([]byte{}, uint8(0), uint32(3), uint32(2), uint64(0))
	for i := range uint8(20) {
		f.Add([]byte{1, 2, 3}, i, uint32(3), uint32(2), uint64(i)<<40)
	}
	f.Fuzz(func(t *testing.T, stream []byte, which uint8, profiles, entries uint32, value uint64) {
		row := valid.Clone()
		row.Profiles, row.Entries = profiles, entries
		c, k := &row.Columns, &row.Keys
		longs := []*[]int64{
			&c.Profiles.Times, &c.Profiles.Durations, &c.Profiles.Totals[0], &c.Profiles.Totals[3], &c.Entries.Totals[0],
			&c.Entries.Minima, &c.Entries.Maxima, &k.Syscalls,
		}
		switch n := int(which) % 20; {
		case n < len(longs):
			*longs[n] = append(*longs[n], int64(value))
			(*longs[n])[0] = int64(value >> 1)
		case n == 8:
			c.Profiles.Series[0] = uint32(value)
		case n == 9:
			c.Entries.Profiles[0] = uint32(value)
		case n == 10:
			k.Stacks[0].High = value
		case n == 11:
			k.Stacks = k.Stacks[1:]
		case n == 12:
			row.SeriesIDs = row.SeriesIDs[:value%2]
		case n == 13:
			row.Hour = int64(value % (1 << 32))
		case n == 14:
			row.Types = string(stream)
		default:
			s := streamsOf(&c.Streams)
			*s[value%uint64(len(s))] = stream
		}
		decoded, err := row.Chunk()
		if err != nil {
			require.ErrorIs(t, err, chunk.ErrInvalid)
			return
		}
		var r chunk.Reader
		if err := r.Verify(decoded); err != nil {
			require.ErrorIs(t, err, chunk.ErrInvalid)
		}
		for i := range k.Len() {
			k.At(i)
		}
	})
}

func fuzzRow(tb testing.TB) *Row {
	tb.Helper()
	row := &Row{
		Header: Header{
			Key: testKey, ID: 1, First: testKey.Hour * 1e9, Last: testKey.Hour*1e9 + 12, Profiles: 3, Entries: 2, Events: 6,
		},
		SeriesIDs: []proto.UInt128{{Low: 1}, {Low: 2}},
	}
	var b chunk.Builder
	require.NoError(tb, b.Reset(1))
	for i := range uint32(3) {
		at := chunk.Profile{Series: i % 2, Time: row.First + int64(i), Duration: 10}
		require.NoError(tb, b.Add(at, []chunk.Entry{
			{Index: 0, Values: [4]int64{1 << (20 * i)}, Count: 1, Min: 1, Max: 7},
			{Index: 1, Values: [4]int64{-1}, Count: 1, Min: chunk.NoMinimum, Max: chunk.NoMaximum},
		}))
	}
	c, err := b.Build(nil, nil)
	require.NoError(tb, err)
	row.Columns = *c.Columns()
	for i := range uint64(2) {
		row.Keys.Append(&EntryKey{Syscall: int64(i), Lock: binary.LittleEndian.Uint64([]byte("lock....")), Bucket: uint8(i)})
	}
	_, err = row.Chunk()
	require.NoError(tb, err)
	return row
}
