package reader

import (
	"math"
	"testing"

	"github.com/ClickHouse/ch-go/proto"
	"github.com/stretchr/testify/assert"
)

func TestSum64(t *testing.T) {
	const ones = math.MaxUint64
	for v, want := range map[proto.Int128]int64{
		{}:                           0,
		{Low: 1}:                     1,
		{Low: ones, High: ones}:      -1,
		{Low: math.MaxInt64}:         math.MaxInt64,
		{Low: 1 << 63}:               math.MaxInt64,
		{Low: 5, High: 1}:            math.MaxInt64,
		{High: math.MaxInt64}:        math.MaxInt64,
		{Low: 1 << 63, High: ones}:   math.MinInt64,
		{Low: 1<<63 - 1, High: ones}: math.MinInt64,
		{High: 1 << 63}:              math.MinInt64,
	} {
		assert.Equal(t, want, sum64(v), v)
	}
	assert.EqualValues(t, uint64(ones), count64(proto.Int128{Low: ones}))
	assert.EqualValues(t, uint64(ones), count64(proto.Int128{High: 1}))
	assert.EqualValues(t, 7, count64(proto.Int128{Low: 7}))
}
