package reader

import (
	"testing"
	"time"

	"github.com/aperture-collector/aperture-collector/internal/clickhousetest"
)

func TestZZ(t *testing.T) {
	s := clickhousetest.Start(t)
	db := clickhousetest.Database(t)
	clickhousetest.Exec(t, s, "CREATE DATABASE "+db)
	clickhousetest.Exec(t, s, "CREATE TABLE "+db+".t (stack UInt128 CODEC(ZSTD(1)), c UInt64 CODEC(T64('bit'), ZSTD(1)), y Int64 CODEC(T64('bit'), ZSTD(1))) ENGINE = MergeTree ORDER BY stack")
	clickhousetest.Exec(t, s, "INSERT INTO "+db+".t SELECT reinterpretAsUInt128(sipHash128(number % 50000)), number % 7, cityHash64(number) % 1000000 FROM numbers(4000000)")
	for _, q := range []string{
		"sum(c), sum(y)",
		"sum(toUInt128(c)), sum(toInt128(y))",
		"toInt64(least(greatest(sum(toInt128(y)), -9223372036854775808), 9223372036854775807)) AS a, toUInt64(least(sum(toUInt128(c)), 18446744073709551615)) AS b",
		"sum(c), sum(y), sum(toFloat64(c)), sum(toFloat64(y))",
		"sum(c), sum(y), sum(bitShiftRight(c, 32)), sum(bitShiftRight(y, 32))",
		"sum(c), sum(y), max(c), max(abs(y)), count()",
		"sum(toFloat64(c)), sum(toFloat64(y))",
	} {
		for range 2 {
			best := time.Hour
			for range 7 {
				start := time.Now()
				clickhousetest.Exec(t, s, "SELECT count() FROM (SELECT stack, "+q+" FROM "+db+".t GROUP BY stack) SETTINGS max_threads=1, optimize_aggregators_of_group_by_keys=0")
				best = min(best, time.Since(start))
			}
			t.Log(best, q)
		}
	}
	t.Log(clickhousetest.Exec(t, s, "SELECT toTypeName(-9223372036854775808), toTypeName(toInt64(least(greatest(sum(toInt128(y)), -9223372036854775808), 9223372036854775807))) FROM "+db+".t"))
}
