// Package tracker follows the processes of a host: which programs run and what
// they map. It tells the kernel's unwinder, by way of [Kernel], and keeps the
// unwind tables in it for the executables that samples need; it turns the
// frames that come back into files and addresses, also of processes that have
// ended meanwhile.
//
// One goroutine handles the notices of the kernel, in their order and at once;
// another one builds unwind tables. Processes that were there
// before the tracker become known by their first sample like all others that
// were missed: only the kernel knows how to tell the programs of a pid apart.
package tracker
