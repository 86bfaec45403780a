// Command bench-store compares how our store and contrib's ClickHouse exporter
// (clickhouseexporter v0.161.0, which has a profiles table) keep the same day of
// profiles, and measures the merged flame graph of our store.
//
// The day is generated (package corpus). Both sides run in the built collector
// with the same pipeline, an OTLP receiver and the exporter without a queue, so
// that a request is answered when it is stored, and each with an embedded
// ClickHouse of its own. Both get the same requests from the same number of
// senders. Counted are:
//
//   - the CPU time (user and system) of the collector process and of ClickHouse,
//     from the first request until no merge has run for a few seconds;
//   - the bytes of all active parts of all tables after OPTIMIZE FINAL.
//
// Both are divided by the number of samples. A sample is one (profile, stack) row
// as pprof has it; contrib stores the values of a memory profile, which OTLP
// spreads over four Profiles, as up to four rows. What only one side would store
// (profile ids, links) is left out of the data.
//
// The sums of every (service, kind, type, stack) in both stores must equal those
// of the generator; the program ends with status 1 otherwise, and where a limit
// that was given is missed.
//
// The flame graph is that of one service over one hour with a million samples,
// read through the store's Reader with warm caches and built into a tree.
package main
