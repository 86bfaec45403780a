// Package syscallname knows the names of Linux system calls. A number means
// nothing without its architecture: 98 is getrusage on x86-64 and futex on
// 64-bit ARM.
package syscallname

import "fmt"

// Unknown stands for a system call that is not in the table, as Aperture's API
// has it.
const Unknown = "unknown"

// Arch is an architecture with a table of its own.
type Arch uint8

// The known architectures.
const (
	X8664 Arch = iota
	ARM64
)

// ParseArch returns the architecture with the given name in Go's (amd64, arm64)
// or the kernel's (x86_64, aarch64) spelling.
func ParseArch(name string) (Arch, error) {
	switch name {
	case "amd64", "x86_64":
		return X8664, nil
	case "arm64", "aarch64":
		return ARM64, nil
	}
	return 0, fmt.Errorf("parse architecture: unknown name %q, want amd64 or arm64", name)
}

// Name returns the kernel's name of a system call, such as futex, or [Unknown].
func (a Arch) Name(number uint32) string {
	table := tableX8664[:]
	if a == ARM64 {
		table = tableARM64[:]
	}
	if uint64(number) < uint64(len(table)) && table[number] != "" {
		return table[number]
	}
	return Unknown
}
