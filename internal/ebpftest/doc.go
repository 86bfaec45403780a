// Package ebpftest helps tests that run real programs in the kernel: it tells
// whether this machine can ([Require]), counts what ran and what was skipped,
// and starts workloads whose profile is known ([StartBusy]).
package ebpftest
