// Package unwind turns the call frame information of executables into compact
// tables that a BPF program searches to walk stacks without frame pointers, and
// holds the model of that search in Go.
//
// An executable's address space is divided in pages of 64 KiB. A page has a
// sorted run of 4-byte rows, each the low half of an address and the number of
// the [Rule] that holds from there to the next row. Rules are shared by all
// executables. A [Pool] owns the memory in which all of this lies, which package
// bpf maps into the kernel.
//
// Sources of the formats: System V ABI with the AMD64 and AArch64 supplements
// (ELF, .eh_frame), Linux Standard Base Core 5.0 chapter 10.6 (.eh_frame,
// .eh_frame_hdr), DWARF 5 chapter 6.4 (call frame instructions) and 2.5
// (expressions), DWARF for the Arm 64-bit Architecture, and src/runtime/symtab.go
// of Go (pclntab).
package unwind
