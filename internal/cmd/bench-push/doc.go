// Command bench-push measures how fast the built collector takes pushes of
// Aperture agents, and checks that it keeps every event that it acknowledged.
//
// It starts dist/aperture-collector with config/all-in-one.yaml, without the
// profiling of this host, and lets many agents push to it over gRPC with gzip,
// each over a connection of its own, one push at a time, the next one when the
// last is acknowledged. The events are from the last five seconds of four
// processes: CPU samples, lock waits and system calls, with real stacks of 12 to
// 25 user frames (package corpus). Half of the agents send symbols, the others
// send addresses as text, as agents in system-wide mode do. What is in a push
// depends on the mix; each is measured with a collector of its own. With a rate the
// agents push at regular times instead, unless an acknowledgement takes longer.
//
// Reported are the events per second of CPU time of the collector process (user
// and system time from the end of a warm-up until all is stored), the CPU time of
// ClickHouse beside it, the collector's peak memory from its start, and the
// refused pushes. A refused push is sent again. Afterwards /api/aggregate and /api/batches must
// have every acknowledged event once; the program ends with status 1 otherwise.
package main
