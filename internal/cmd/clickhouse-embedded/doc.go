// Command clickhouse-embedded runs a ClickHouse server out of libchdb.so.
//
// The library is a whole ClickHouse behind a C function that takes a command
// line. Run as "local", without a connection of its own, it opens the native and
// the HTTP listener when the start query asks for it, and keeps them open while
// its last query runs. That query reads standard input, so the server lives
// exactly as long as the pipe that the parent holds: it ends cleanly when the
// parent closes the pipe or dies in any way.
//
// Clients do not reach the server itself but a gate before it, see gate.go.
//
// The program is built without cgo; it is a program of its own, not part of the
// collector, because the library installs its own signal handlers and allocator
// and because a crash in it must not take the collector down.
//
// Its contract with the parent:
//
//   - standard input is a pipe whose only writer is the parent;
//   - SIGTERM, SIGINT and SIGHUP are ignored until the pipe is closed;
//   - file descriptors above 2 are left open, so that a lock passed to this
//     process is held until the server is really gone;
//   - the public ports open when the server answers, with SO_REUSEPORT, so that
//     the parent can keep them reserved;
//   - exit status 0 is a clean end, 1 an error of the library or the server
//     (described on standard error), 2 a wrong command line, 3 a server that did
//     not end within -grace after the pipe was closed.
package main
