package chserver_test

import (
	"encoding/binary"
	"io"
	"net"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aperture-collector/aperture-collector/internal/clickhousetest"
)

// revision of the native protocol that these tests speak: old enough for short
// packets.
const revision = 54406

func str(text string) []byte {
	return append(binary.AppendUvarint(nil, uint64(len(text))), text...)
}

func number(n uint64) []byte { return binary.AppendUvarint(nil, n) }

func join(parts ...[]byte) []byte {
	var all []byte
	for _, part := range parts {
		all = append(all, part...)
	}
	return all
}

func helloPacket(database, user, password string) []byte {
	return join(number(0), str("test"), number(1), number(0), number(revision), str(database), str(user), str(password))
}

// queryPacket is a query and the empty block that ends its external tables
// (ClickHouse documentation, "Native protocol", client packets).
func queryPacket(sql string) []byte {
	info := join([]byte{1}, str(""), str(""), str("0.0.0.0:0"), []byte{1}, str(""), str(""), str("test"),
		number(1), number(0), number(revision), str(""), number(0))
	return join(number(1), str(""), info, str(""), number(2), number(0), str(sql), blockPacket(0, nil))
}

func blockPacket(rows uint64, column []byte) []byte {
	columns := uint64(1)
	if column == nil {
		columns = 0
	}
	return join(number(2), str(""), []byte{1, 0, 2, 0xff, 0xff, 0xff, 0xff, 0}, number(columns), number(rows), column)
}

// nativeConn is logged in.
func nativeConn(t *testing.T, addr, user, password string) *net.TCPConn {
	t.Helper()
	conn := dial(t, addr)
	_, err := conn.Write(helloPacket("", user, password))
	require.NoError(t, err)
	first := make([]byte, 1024)
	_, err = conn.Read(first)
	require.NoError(t, err)
	require.Zero(t, first[0], "the server says hello")
	return conn
}

func dial(t *testing.T, addr string) *net.TCPConn {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() }) // most tests have closed it
	require.NoError(t, conn.SetDeadline(time.Now().Add(patience)))
	return conn.(*net.TCPConn)
}

// reset closes a connection in the way that the peer sees as an error.
func reset(t *testing.T, conn *net.TCPConn) {
	t.Helper()
	require.NoError(t, conn.SetLinger(0))
	require.NoError(t, conn.Close())
}

// libchdb by itself ends the process on most of these: none may reach it.
func TestNoClientEndsTheServer(t *testing.T) {
	server := clickhousetest.Start(t)
	e := server.Endpoint()
	clickhousetest.Exec(t, server, "CREATE DATABASE clients")
	clickhousetest.Exec(t, server, "CREATE TABLE clients.t (n Int64) ENGINE = MergeTree ORDER BY n")
	t.Cleanup(func() { clickhousetest.Exec(t, server, "DROP DATABASE clients SYNC") })
	const long = "SELECT number, sleepEachRow(0.0001) FROM numbers(10000000) SETTINGS max_block_size = 1000"
	send := func(t *testing.T, conn *net.TCPConn, packet []byte) {
		t.Helper()
		_, err := conn.Write(packet)
		require.NoError(t, err)
	}
	login := func(t *testing.T) *net.TCPConn { return nativeConn(t, e.Addr, e.Username, e.Password) }

	for name, misbehave := range map[string]func(*testing.T){
		"says nothing":  func(t *testing.T) { require.NoError(t, dial(t, e.Addr).Close()) },
		"hello cut off": func(t *testing.T) { c := dial(t, e.Addr); send(t, c, helloPacket("", "a", "b")[:5]); reset(t, c) },
		"garbage": func(t *testing.T) {
			c := dial(t, e.Addr)
			send(t, c, []byte("GET / HTTP/1.1\r\n\r\n"))
			answer, _ := io.ReadAll(c)
			assert.Empty(t, answer)
		},
		"wrong password": func(t *testing.T) {
			_, err := nativeHello(e.Addr, e.Username, "wrong")
			require.ErrorContains(t, err, "Authentication failed")
		},
		"unknown database": func(t *testing.T) {
			c := dial(t, e.Addr)
			send(t, c, helloPacket(`no'such\database`, e.Username, e.Password))
			answer, err := io.ReadAll(io.LimitReader(c, 64))
			require.NoError(t, err)
			assert.Equal(t, byte(2), answer[0])
			assert.Contains(t, string(answer), "DB::Exception")
		},
		"known database": func(t *testing.T) {
			c := dial(t, e.Addr)
			send(t, c, helloPacket("clients", e.Username, e.Password))
			answer, err := io.ReadAll(io.LimitReader(c, 1))
			require.NoError(t, err)
			assert.Zero(t, answer[0])
		},
		"reset while idle":   func(t *testing.T) { reset(t, login(t)) },
		"reset during query": func(t *testing.T) { c := login(t); send(t, c, queryPacket(long)); reset(t, c) },
		"end during query":   func(t *testing.T) { c := login(t); send(t, c, queryPacket(long)); require.NoError(t, c.Close()) },
		"query cut off":      func(t *testing.T) { c := login(t); send(t, c, queryPacket(long)[:20]); reset(t, c) },
		"reset during insert": func(t *testing.T) {
			c := login(t)
			send(t, c, queryPacket("INSERT INTO clients.t VALUES"))
			reset(t, c)
		},
		"block cut off":         func(t *testing.T) { insertPart(t, login(t), send) },
		"HTTP garbage":          func(t *testing.T) { c := dial(t, e.HTTPAddr); send(t, c, []byte("\xff\x00\r\n\r\n")); reset(t, c) },
		"HTTP request cut off":  func(t *testing.T) { c := dial(t, e.HTTPAddr); send(t, c, []byte("POST / HT")); reset(t, c) },
		"HTTP without password": func(t *testing.T) { _, err := clickhousetest.Query(e, "", "", "SELECT 1"); require.Error(t, err) },
		"HTTP reset during query": func(t *testing.T) {
			c := dial(t, e.HTTPAddr)
			send(t, c, httpQuery(e.Username, e.Password, long))
			reset(t, c)
		},
	} {
		t.Run(name, func(t *testing.T) {
			pid := server.PID()
			misbehave(t)
			// The long query is cancelled, which shows that its client's end arrived.
			waitFor(t, func() bool {
				return clickhousetest.Exec(t, server, "SELECT count() FROM system.processes WHERE query LIKE '%sleepEachRow%' AND query NOT LIKE '%system.processes%'") == "0"
			})
			assert.Equal(t, pid, server.PID())
			assert.Zero(t, server.Status().Restarts)
		})
	}
	assert.Equal(t, "0", clickhousetest.Exec(t, server, "SELECT count() FROM clients.t"), "no part of an insert was stored")
}

func insertPart(t *testing.T, c *net.TCPConn, send func(*testing.T, *net.TCPConn, []byte)) {
	t.Helper()
	send(t, c, queryPacket("INSERT INTO clients.t VALUES"))
	_, err := c.Read(make([]byte, 1024)) // the structure of the table
	require.NoError(t, err)
	send(t, c, blockPacket(100, join(str("n"), str("Int64"), make([]byte, 80))))
	require.NoError(t, c.CloseWrite())
	_, _ = io.Copy(io.Discard, c) // an exception, or nothing
}

func httpQuery(user, password, sql string) []byte {
	return []byte("GET /?user=" + user + "&password=" + password + "&query=" + url.QueryEscape(sql) + " HTTP/1.1\r\nHost: test\r\n\r\n")
}
