package bpf

import "fmt"

// CPUCounter names one counter of the CPU program.
type CPUCounter int

// Counters of the CPU program, in the order of enum counter in cpu.bpf.c.
// CPURuns is the sum of CPUIdle, CPUSkipped, CPUForeignPIDNS, CPUNested,
// CPUHashFull and CPUSamples.
const (
	// CPURuns counts ticks that reached the program.
	CPURuns CPUCounter = iota
	// CPUIdle counts ticks in the idle task.
	CPUIdle
	// CPUSkipped counts ticks in the excluded process.
	CPUSkipped
	// CPUForeignPIDNS counts ticks in processes that are not visible from the
	// collector's pid namespace.
	CPUForeignPIDNS
	// CPUNested counts samples lost because the program interrupted itself.
	CPUNested
	// CPUHashFull counts samples lost because the counts map was full.
	CPUHashFull
	// CPUSamples counts samples that were counted.
	CPUSamples
	// CPUKthread counts samples of kernel threads, which have no user stack.
	CPUKthread
	// CPUKernelError counts samples whose kernel stack could not be read.
	CPUKernelError
	// CPUUserError counts samples whose user stack could not be read.
	CPUUserError
	// CPUKernelTruncated counts samples with a kernel stack of MaxFrames.
	CPUKernelTruncated
	// CPUUserTruncated counts samples with a user stack of MaxFrames.
	CPUUserTruncated
	// CPUStacks counts new stacks that were sent to user space.
	CPUStacks
	// CPURingFull counts attempts to send a stack that found the ring full. The
	// stack is sent again with its next sample.
	CPURingFull
	// CPURunNanos is the time spent in the program in nanoseconds.
	CPURunNanos

	cpuCounters
)

// CPUStats are the counters of the CPU program since it was loaded, summed over
// all processors.
type CPUStats [cpuCounters]uint64

// Sub returns s-before, counter by counter.
func (s CPUStats) Sub(before CPUStats) CPUStats {
	for i := range s {
		s[i] -= before[i]
	}
	return s
}

// Stats returns the counters of the program.
func (c *CPU) Stats() (CPUStats, error) {
	var s CPUStats
	var perCPU []uint64
	for i := range s {
		if err := c.objs.Stats.Lookup(uint32(i), &perCPU); err != nil {
			return s, fmt.Errorf("read BPF counter %d: %w", i, err)
		}
		for _, v := range perCPU {
			s[i] += v
		}
	}
	return s, nil
}
