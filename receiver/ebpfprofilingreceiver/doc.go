// Package ebpfprofilingreceiver profiles the host it runs on with eBPF: which
// functions of which processes, and of the kernel, spend the CPU time.
package ebpfprofilingreceiver

//go:generate go tool -modfile=../../internal/tools/mdatagen/go.mod mdatagen metadata.yaml
