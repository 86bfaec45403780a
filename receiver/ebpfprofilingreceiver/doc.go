// Package ebpfprofilingreceiver profiles the host it runs on with eBPF: which
// functions of which processes, and of the kernel, spend CPU time, wait, wait for
// locks, and how long their system calls take.
package ebpfprofilingreceiver

//go:generate go tool -modfile=../../internal/tools/mdatagen/go.mod mdatagen metadata.yaml
