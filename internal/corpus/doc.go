// Package corpus generates days of realistic profiles for benchmarks: OTLP
// profiles as the pipelines carry them (see package profile), with the sums that
// any store must return for them, computed independently.
//
// # What is real and what is made up
//
// The stacks are real: testdata holds CPU and heap profiles recorded from Go
// programs (benchmarks and tests of the standard library, the Go compiler) and
// from Node.js, stripped by mkstacks to functions, files, lines, addresses and
// mappings. Everything else is drawn from a seeded random source:
//
//   - a service mixes two to four programs, in a binary of its own; test code
//     becomes the service's own code;
//   - on top of the recorded stacks comes a Zipf tail of crossovers, which take
//     the root part of one recorded stack and the leaf part of another below the
//     same function; it carries Config.TailShare of the samples;
//   - 15 % of a pod's samples come from 64 stacks that are hot in that pod for
//     five minutes;
//   - the number of samples follows a wave over the day, the service and the pod.
//
// Equal configurations generate equal bytes on every machine.
//
// # Sample
//
// A sample is one (profile, stack) row of a profile as pprof writes it. A row of
// a memory profile carries four values, which OTLP spreads over four Profiles;
// zero values are left out of them.
package corpus
