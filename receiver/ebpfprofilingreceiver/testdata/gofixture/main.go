// Gofixture is busy until its standard input ends. Half of its time is in
// frameless, a leaf function without a frame; the other half is in inlined, which
// is part of outer. Then it prints its CPU time as JSON, as the programs of package
// fixtures do.
package main

import (
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"syscall"
)

//go:noinline
func frameless(x uint64, n int) uint64 {
	for range n {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
	}
	return x
}

func inlined(x uint64, n int) uint64 {
	for range n {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
	}
	return x
}

//go:noinline
func outer(x uint64) uint64 {
	x = frameless(x, 50000) | 1
	return inlined(x, 50000) | 1
}

func main() {
	var stop atomic.Bool
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		stop.Store(true)
	}()
	x := uint64(1)
	for !stop.Load() {
		x = outer(x)
	}
	var ru syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &ru) != nil || x == 0 {
		os.Exit(1)
	}
	fmt.Printf("{\"cpu_seconds\":%f}\n", float64(ru.Utime.Nano()+ru.Stime.Nano())/1e9)
}
