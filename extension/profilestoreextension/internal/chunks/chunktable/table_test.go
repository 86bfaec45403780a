package chunktable_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/chunkrow"
	"github.com/aperture-collector/aperture-collector/extension/profilestoreextension/internal/chunks/chunktest"
	"github.com/aperture-collector/aperture-collector/internal/clickhousetest"
)

func TestMain(m *testing.M) { clickhousetest.Main(m) }

// TestColumns: rows have exactly the columns of the table.
func TestColumns(t *testing.T) {
	_, o := chunktest.Open(t)
	server := clickhousetest.Start(t)
	n := clickhousetest.Exec(t, server, fmt.Sprintf("SELECT count() FROM system.columns WHERE database = '%s' AND table = 'chunks'", o.Database))
	assert.Equal(t, fmt.Sprint(len(chunkrow.NewResult(chunkrow.All).Results())), n)
	// All but `written`, which the server fills in.
	assert.Equal(t, fmt.Sprint(len(chunkrow.NewBlock().Input())+1), n)
}

// TestPartitions: rows of an hour are alone while there are many, and with those of
// a week when they are few.
func TestPartitions(t *testing.T) {
	_, o := chunktest.Open(t)
	server := clickhousetest.Start(t)
	f := func(level int, hour int64, want string) {
		t.Helper()
		clickhousetest.Exec(t, server, fmt.Sprintf("INSERT INTO %s (level, hour, stored) VALUES (%d, %d, now())", o.Table("chunks"), level, hour))
		got := clickhousetest.Exec(t, server, fmt.Sprintf("SELECT _partition_value FROM %s WHERE level = %d AND hour = %d LIMIT 1", o.Table("chunks"), level, hour))
		assert.Equal(t, fmt.Sprintf(`(%d,'%s')`, level, want), got)
	}
	for _, level := range []int{0, 1} {
		f(level, 0, "1970-01-01 00:00:00")
		f(level, 1_699_999_200, "2023-11-14 22:00:00")
		f(level, (1<<32-1)/3600*3600, "2106-02-07 06:00:00")
	}
	f(2, 0, "1970-01-01 00:00:00")
	f(2, 1_699_999_200, "2023-11-13 00:00:00")
	f(2, (1<<32-1)/3600*3600, "2106-02-01 00:00:00")
}
