// Package chserver runs an embedded ClickHouse server: a child process
// (internal/cmd/clickhouse-embedded) that serves one data directory on two
// loopback ports, for one user whose password only the owner of the directory
// can read.
//
// [Server] owns everything about it: the exclusive lock of the directory, the
// generated configuration and password, the ports, starting, supervision and
// ending. A server that dies or stops listening is started again with the same
// ports and data. A server never outlives the process that started it: it ends
// when the pipe between them closes.
//
// The package speaks to the server over plain HTTP only to see whether it
// answers; it imports no ClickHouse driver.
//
// A data directory holds
//
//	lock         the process that uses the directory, see [LockedError]
//	password     the password of [User], mode 0600
//	config.xml   written at every start, as is users.xml
//	users.xml
//	db/          the data, mode 0700
//	server.log   the log of the server, rotated by it
package chserver
