// Package symbol names addresses: of the kernel ([Kernel]), and of the
// executables and libraries that processes have mapped ([Cache], [Space]).
//
// It runs as root and reads files that other people control, so every parser
// works on a bounded view of the file, allocates no more than a fixed multiple
// of what it has checked to be there, and survives files that change or shrink
// while they are read (see [guard]).
package symbol
