package bpf

import "fmt"

// Counter names one counter of a profile's programs.
type Counter int

// Counters, in the order of enum counter in sample.h. Runs is the sum of the
// counters from Idle to Samples.
const (
	// Runs counts events that reached the programs.
	Runs Counter = iota
	// Idle counts events in the idle task.
	Idle
	// Skipped counts events in the excluded process.
	Skipped
	// Filtered counts events in processes that are no targets.
	Filtered
	// ForeignPIDNS counts events in processes that are not visible from the
	// collector's pid namespace.
	ForeignPIDNS
	// Below counts events that were below the threshold of the profile.
	Below
	// ForeignABI counts system calls of 32-bit programs, whose numbers mean other
	// calls.
	ForeignABI
	// Nested counts samples lost because the program interrupted itself.
	Nested
	// HashFull counts samples lost because a map was full.
	HashFull
	// NoStorage counts samples lost because there was no memory for the state of
	// a thread.
	NoStorage
	// NoWork counts samples lost because their user stack could not be scheduled.
	NoWork
	// Samples counts samples that were counted.
	Samples
	// Kthread counts samples of kernel threads, which have no user stack.
	Kthread
	// Stackless counts samples that have no stack, as what they measured was short.
	Stackless
	// KernelError counts samples whose kernel stack could not be read.
	KernelError
	// KernelTruncated counts samples with a kernel stack of MaxFrames.
	KernelTruncated
	// Stacks counts new stacks that were sent to user space.
	Stacks
	// RingFull counts attempts to send a stack that found the ring full. The
	// stack is sent again with its next sample.
	RingFull
	// NoticesLost counts notices that found their ring full.
	NoticesLost
	// RunNanos is the time spent in the programs in nanoseconds.
	RunNanos
	// Frames counts the user frames of all samples.
	Frames
	// UserEnds is the first of the counters of how user stacks ended, one for
	// each End.
	UserEnds

	counters = UserEnds + 12
)

// End tells how the unwinding of a user stack ended.
type End uint8

// Ends, as enum unwind_end in tables.h.
const (
	// EndTruncated: the stack has more than MaxFrames.
	EndTruncated End = iota
	// EndComplete: the outermost frame was reached.
	EndComplete
	// EndNoProcess: the mappings of the process were not known yet; frame
	// pointers were followed.
	EndNoProcess
	// EndNoMapping: an address was in none of the mappings.
	EndNoMapping
	// EndNoTable: an unwind table was not built yet; frame pointers were followed.
	EndNoTable
	// EndNoRow: an address has no call frame information.
	EndNoRow
	// EndUnsupported: the call frame information is of a kind that cannot be
	// followed.
	EndUnsupported
	// EndRead: the stack could not be read (paged out, or corrupt).
	EndRead
	// EndStuck: the stack pointer did not grow.
	EndStuck
	// EndFramePointers: the chain of frame pointers ended before the stack did.
	EndFramePointers
	// EndNone: there is no user stack.
	EndNone
)

// Ends lists how user stacks can end, by the name that telemetry uses.
var Ends = map[End]string{
	EndTruncated: "truncated", EndComplete: "complete", EndNoProcess: "no_process", EndNoMapping: "no_mapping",
	EndNoTable: "no_table", EndNoRow: "no_row", EndUnsupported: "unsupported", EndRead: "read_error",
	EndStuck: "stuck", EndFramePointers: "frame_pointers",
}

// Stats are the counters of a profile since it was started, summed over all
// processors.
type Stats [counters]uint64

// Sub returns s-before, counter by counter.
func (s Stats) Sub(before Stats) Stats {
	for i := range s {
		s[i] -= before[i]
	}
	return s
}

// Ended returns how many user stacks ended in a way.
func (s Stats) Ended(e End) uint64 { return s[UserEnds+Counter(e)] }

// stats reads the counters of the object.
func (o *object) stats() (Stats, error) {
	var sum Stats
	var perCPU []Stats
	if err := o.coll.Maps["stats"].Lookup(uint32(0), &perCPU); err != nil {
		return sum, fmt.Errorf("read BPF counters: %w", err)
	}
	for _, s := range perCPU {
		for i, v := range s {
			sum[i] += v
		}
	}
	return sum, nil
}
