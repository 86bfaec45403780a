// Package bpf holds the programs that run inside the kernel and the code that
// loads them, attaches them and takes their data out.
//
// Each profile is one object file, so that a kernel which refuses one of them
// does not take the others down. The compiled objects are committed; `make
// generate` rebuilds them (see README.md for what that needs).
//
// A [Host] has what all profiles share: the maps, the rings, and the unwind tables
// that package internal/tracker fills. [CPU] samples what runs on every processor,
// [OffCPU] has what threads wait for, [Lock] the waits for locks of programs and of
// the kernel, [Syscall] the latency of system calls. All of them aggregate in the
// kernel: only counts, and stacks that were not seen before, cross to user space.
package bpf
