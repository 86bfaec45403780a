package reader

import (
	"math"

	"github.com/ClickHouse/ch-go/proto"
)

// Sums of ClickHouse have the width of what is summed and wrap. With twice the
// width they do not; what is then beyond is cut off here, because the compiled
// expressions of ClickHouse get least and greatest of such integers wrong.

// sumOf returns the sum of an Int64 or UInt64 column as an Int128.
func sumOf(column string) string { return "sum(toInt128(" + column + "))" }

// sum64 returns a sum, or the bound of an int64 that it is beyond.
func sum64(v proto.Int128) int64 {
	low, high := int64(v.Low), int64(v.High)
	switch {
	case high == low>>63:
		return low
	case high < 0:
		return math.MinInt64
	}
	return math.MaxInt64
}

// count64 returns a sum of counts, or the largest uint64 if it is beyond.
func count64(v proto.Int128) uint64 {
	if v.High != 0 {
		return math.MaxUint64
	}
	return v.Low
}
