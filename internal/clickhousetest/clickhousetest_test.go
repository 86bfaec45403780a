package clickhousetest_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/aperture-collector/aperture-collector/internal/clickhousetest"
)

func TestOneServerManyDatabases(t *testing.T) {
	server := clickhousetest.Start(t)
	assert.Same(t, server, clickhousetest.Start(t))

	var names []string
	t.Run("use", func(t *testing.T) {
		names = append(names, clickhousetest.Database(t), clickhousetest.Database(t))
		for _, name := range names {
			clickhousetest.Exec(t, server, "CREATE DATABASE "+name)
			clickhousetest.Exec(t, server, "CREATE TABLE "+name+".t (n Int64) ENGINE = MergeTree ORDER BY n")
		}
	})
	assert.NotEqual(t, names[0], names[1])
	assert.Equal(t, "0", clickhousetest.Exec(t, server,
		"SELECT count() FROM system.databases WHERE name IN ('"+names[0]+"', '"+names[1]+"')"), "dropped at the end of the test")
}

func TestKill(t *testing.T) {
	server := clickhousetest.Start(t)
	database := clickhousetest.Database(t)
	clickhousetest.Exec(t, server, "CREATE DATABASE "+database)
	endpoint, pid := server.Endpoint(), server.PID()

	clickhousetest.Kill(t, server)
	clickhousetest.WaitReady(t, server)

	assert.NotEqual(t, pid, server.PID())
	assert.Equal(t, endpoint, server.Endpoint())
	assert.Equal(t, database, clickhousetest.Exec(t, server, "SELECT name FROM system.databases WHERE name = '"+database+"'"))
}
