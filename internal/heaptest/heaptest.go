// Package heaptest measures what tests leave behind in memory.
package heaptest

import "runtime"

// InUse returns the bytes in use after a collection.
func InUse() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // pools are emptied by the second one
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
