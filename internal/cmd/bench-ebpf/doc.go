// Bench-ebpf measures what the ebpf_profiling receiver costs and how right it is,
// in the built collector, on this machine, with programs that know the truth about
// themselves (internal/ebpftest/fixtures). It needs root and gcc:
//
//	go run ./internal/cmd/bench-ebpf [-only REGEXP] [-duration 20s]
//
// Costs are CPU time, never time of the clock: the minimum over batches where an
// operation is repeated, the counters of the kernel's program and of /proc
// elsewhere. So they hold on a busy machine too, if not as well as on a quiet one;
// the load average is printed. Each line checks that what it measured was right, and
// fails otherwise. Where perf and bpftrace are installed, the same is measured with
// them in the same run.
//
// The collector runs with the receiver and an OTLP exporter only. It sends what it
// found to this program, which compares it with the truth.
package main
