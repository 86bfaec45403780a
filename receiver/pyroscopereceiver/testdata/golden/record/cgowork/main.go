// Command cgowork works in C and writes its CPU profile.
package main

/*
static double burn(long n) {
	double x = 1;
	for (long i = 1; i < n; i++) x += 1 / x;
	return x;
}
*/
import "C"

import (
	"os"
	"runtime/pprof"
	"time"
)

var sink C.double

func main() {
	f, err := os.Create(os.Args[1])
	check(err)
	check(pprof.StartCPUProfile(f))
	for end := time.Now().Add(500 * time.Millisecond); time.Now().Before(end); {
		sink = C.burn(1_000_000)
	}
	pprof.StopCPUProfile()
	check(f.Close())
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
