// Package bpf holds the programs that run inside the kernel and the code that
// loads them, attaches them and takes their data out.
//
// Each profile is one object file, so that a kernel which refuses one of them
// does not take the others down. The compiled objects are committed; `make
// generate` rebuilds them (see README.md for what that needs).
//
// [CPU] samples what runs on every processor. It aggregates in the kernel: only
// counts and stacks that were not seen before cross to user space.
package bpf
