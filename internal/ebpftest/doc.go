// Package ebpftest helps tests that run real programs in the kernel: it tells
// whether this machine can ([Require]), counts what ran and what was skipped,
// and starts workloads whose profile is known: this test binary again as a Go
// program ([StartBusy]), and native programs ([BuildC], [Start]).
package ebpftest
