// Package lockkind tells kinds of locks apart. A wait in the kernel is known by
// its flags. A wait in a program is a futex system call, whatever the lock is: the
// functions that made the call tell what was waited for, in particular whether a
// thread had nothing to do or was kept from doing it.
package lockkind

// Kinds of locks. Those from Spin on are of the kernel.
const (
	Mutex     = "mutex"
	PIMutex   = "pi_mutex" // with priority inheritance
	RWLock    = "rwlock"
	Condition = "condition"
	Semaphore = "semaphore"
	Join      = "join"
	Barrier   = "barrier"
	Once      = "once"
	// Idle is a thread of a pool or a runtime that waits for work.
	Idle = "idle"
	// Futex is a wait that no function is known of.
	Futex = "futex"

	Spin        = "spin"
	RWSemRead   = "rwsem_read"
	RWSemWrite  = "rwsem_write"
	RTMutex     = "rtmutex"
	PerCPURWSem = "percpu_rwsem"
	RWLockRead  = "rwlock_read"
	RWLockWrite = "rwlock_write"
	// Kernel is a lock with flags that are not known.
	Kernel = "kernel"
)
