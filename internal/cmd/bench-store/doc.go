// Command bench-store measures the profile store on an hour, and on 24 hours, of a
// generated fleet (package corpus), and prints a table of its figures beside the
// limits that they must keep and hope to reach.
//
// The store is the profile_store extension as a component of a process of its own,
// the worker, which stands for the collector: what it uses of the processor and of
// memory is the collector's. ClickHouse is the embedded server. This process
// generates, asks and checks.
//
//   - An hour is stored as windows of 15 seconds, and compacted as it is in
//     production: rows of some minutes while it comes in, one row of each service and
//     kind two minutes after the last window.
//   - Further hours are copies of the compacted rows, made in SQL with other times:
//     they are as large, and their sums are known.
//   - Queries run in the worker. Each has been checked in full, sum by sum, against
//     what the generator drew, in this process; the worker compares every answer
//     with the digest of the one that was right.
//   - "Cold" is a store that has just been opened, and a ClickHouse without marks or
//     uncompressed blocks in its caches. The page cache of the machine is not
//     emptied.
//   - A part of the hour is also sent to contrib's ClickHouse exporter
//     (clickhouseexporter v0.161.0) in the built collector, and its sums compared.
//
// A sample is one (profile, stack) row as pprof has it; a value is one number of it
// that is not zero: memory profiles have up to four.
//
// The program ends with status 1 if any sum is wrong and, with -strict, if a figure
// is beyond what it must be.
package main
