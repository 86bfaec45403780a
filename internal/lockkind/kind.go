package lockkind

import "github.com/aperture-collector/aperture-collector/bpf"

// Kind returns the kind of the lock of a stack of [bpf.KindLock], from its detail
// and the names of its user functions, leaf first, unnamed ones empty.
func Kind(detail uint16, functions []string) string {
	if detail&bpf.LockKernel != 0 {
		return kernelKind(detail &^ bpf.LockKernel)
	}
	if bpf.LockOp(detail) == bpf.LockPI {
		return PIMutex
	}
	if kind := userKind(functions); kind != "" {
		return kind
	}
	return operationKind(detail, functions)
}

// WaitsForWork reports whether a thread that waits for a lock of this kind has
// nothing to do until another gives it work or is done: there is no lock that
// anyone holds.
func WaitsForWork(kind string) bool {
	return kind == Idle || kind == Condition || kind == Join
}

// operationKind guesses from how the futex was waited for.
func operationKind(detail uint16, functions []string) string {
	switch bpf.LockOp(detail) {
	case bpf.LockWaitRequeuePI:
		return Condition // has no other use
	case bpf.LockWaitBitset:
		// Where glibc was stripped and its functions jump to ones that are not
		// exported, nothing is named up to the caller: pthread_join waits for a
		// word that the kernel writes, so that it has to be shared; sem_wait
		// tells a clock although it has no timeout.
		if len(functions) == 0 || functions[0] != "" {
			break
		}
		if detail&bpf.LockShared != 0 {
			return Join
		}
		if detail&bpf.LockRealtime != 0 {
			return Semaphore
		}
	}
	return Futex
}

// Flags of contention_begin (include/trace/events/lock.h of the kernel).
const (
	flagSpin = 1 << iota
	flagRead
	flagWrite
	flagRT
	flagPerCPU
	flagMutex
)

func kernelKind(flags uint16) string {
	switch {
	case flags&flagMutex != 0:
		return Mutex
	case flags&flagPerCPU != 0:
		return PerCPURWSem
	}
	switch flags {
	case 0:
		return Semaphore
	case flagSpin:
		return Spin
	case flagSpin | flagRead:
		return RWLockRead
	case flagSpin | flagWrite:
		return RWLockWrite
	case flagRead, flagRT | flagRead:
		return RWSemRead
	case flagWrite, flagRT | flagWrite:
		return RWSemWrite
	case flagRT:
		return RTMutex
	}
	return Kernel
}

const (
	// maxFunctions is how many functions from the leaf on are looked at.
	maxFunctions = 32
	// maxIdle is how far from the wait the function of an idle thread is. Further
	// out are the same functions where they run work, which waits.
	maxIdle = 10
)

// userKind returns the kind that functions tell, "" for none. The innermost
// function that is known decides; but where it is one that locks are made of, a
// lock or an idle loop further out does.
func userKind(functions []string) string {
	kind, at := "", 0
	for i, f := range functions[:min(len(functions), maxFunctions)] {
		f = plain(f)
		if f == "" {
			continue
		}
		if kind == "" {
			if kind = primitive(f); kind != "" {
				at = i
			}
			if kind != "" && kind != Condition && kind != Semaphore {
				return kind
			}
		}
		if k := composed(f); k != "" && (k != Idle || i-at <= maxIdle) {
			return k
		}
	}
	return kind
}
