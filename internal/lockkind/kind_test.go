package lockkind

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/aperture-collector/aperture-collector/bpf"
)

func TestKernelKinds(t *testing.T) {
	for flags, want := range map[uint16]string{
		0: Semaphore, 1: Spin, 2: RWSemRead, 4: RWSemWrite, 8: RTMutex, 3: RWLockRead, 5: RWLockWrite,
		8 | 2: RWSemRead, 8 | 4: RWSemWrite, 16 | 2: PerCPURWSem, 16 | 4: PerCPURWSem, 32: Mutex, 33: Mutex, 64: Kernel,
	} {
		assert.Equal(t, want, Kind(bpf.LockKernel|flags, nil), "flags %d", flags)
	}
}

func TestOperations(t *testing.T) {
	for op, want := range map[bpf.LockOp]string{
		bpf.LockWait: Futex, bpf.LockWaitBitset: Futex, bpf.LockPI: PIMutex, bpf.LockWaitRequeuePI: Condition,
		bpf.LockWaitV: Futex, bpf.LockFutexWait: Futex,
	} {
		assert.Equal(t, want, Kind(uint16(op), nil))
		assert.Equal(t, want, Kind(uint16(op)|bpf.LockTimedOut, []string{"", "main"}))
	}
}

func TestStrippedLibrary(t *testing.T) {
	const bitset = uint16(bpf.LockWaitBitset)
	for _, c := range []struct {
		detail    uint16
		functions []string
		want      string
	}{
		{bitset | bpf.LockShared | bpf.LockRealtime, []string{"", "", "main"}, Join},
		{bitset | bpf.LockRealtime, []string{"", "", "main"}, Semaphore},
		{bitset | bpf.LockRealtime, []string{"", "pthread_cond_wait"}, Condition},
		{bitset | bpf.LockRealtime, []string{"syscall", "main"}, Futex},
		{bitset | bpf.LockRealtime, nil, Futex},
		{bitset, []string{"", "main"}, Futex},
	} {
		assert.Equal(t, c.want, Kind(c.detail, c.functions), "%+v", c)
	}
}

// Stacks as symbol tables name them, leaf first.
var stacks = []struct{ name, want, functions string }{
	{"glibc mutex", Mutex, "__lll_lock_wait ___pthread_mutex_lock main"},
	{"glibc mutex, stripped", Mutex, " pthread_mutex_lock@@GLIBC_2.2.5 main"},
	{"glibc mutex, internal", Mutex, "__GI___lll_lock_wait __GI___pthread_mutex_lock"},
	{"glibc timed mutex", Mutex, "__pthread_mutex_clocklock_common.part.0 pthread_mutex_timedlock"},
	{"malloc arena", Mutex, "__lll_lock_wait_private malloc main"},
	{"glibc condition", Condition, "__futex_abstimed_wait_common pthread_cond_wait@@GLIBC_2.3.2 main"},
	{"glibc timed condition", Condition, "__futex_abstimed_wait_common64 __pthread_cond_clockwait main"},
	{"mutex of a condition", Mutex, "__lll_lock_wait __pthread_mutex_cond_lock __pthread_cond_wait main"},
	{"glibc rwlock", RWLock, "__futex_abstimed_wait_common __pthread_rwlock_wrlock_full64 ___pthread_rwlock_wrlock"},
	{"glibc semaphore", Semaphore, "__futex_abstimed_wait_common __new_sem_wait_slow64.constprop.0 sem_wait"},
	{"glibc join", Join, "__futex_abstimed_wait_common __pthread_clockjoin_ex pthread_join main"},
	{"glibc barrier", Barrier, "___pthread_barrier_wait main"},
	{"glibc once", Once, "__pthread_once_slow.isra.0 ___pthread_once std::call_once"},
	{"musl mutex", Mutex, "__timedwait_cp __timedwait __pthread_mutex_timedlock pthread_mutex_lock"},
	{"musl condition", Condition, "__timedwait_cp pthread_cond_timedwait"},
	{"musl semaphore", Semaphore, "__timedwait_cp sem_timedwait"},
	{"musl join", Join, "__timedwait_cp __pthread_timedjoin_np"},
	{"C11", Mutex, "__lll_lock_wait ___pthread_mutex_lock mtx_lock"},
	{"static guard", Once, "syscall __cxa_guard_acquire config()"},
	{"std::condition_variable", Condition, " std::condition_variable::wait(std::unique_lock<std::mutex>&) worker(void*)"},
	{"std::future", Condition, "syscall std::__atomic_futex_unsigned_base::_M_futex_wait_until(unsigned|int*) get"},
	{"absl mutex", Mutex, "AbslInternalPerThreadSemWait_lts_20240116 absl::lts_20240116::Mutex::LockSlowLoop(absl::SynchWaitParams*,|int)"},
	{"absl condition", Condition, "syscall absl::CondVar::Wait(absl::Mutex*)"},
	{"absl spin lock", Mutex, "AbslInternalSpinLockDelay absl::base_internal::SpinLock::SlowLock()"},
	{"Go lock", Mutex, "runtime.futex.abi0 runtime.futexsleep runtime.lock2 runtime.lockWithRank runtime.chansend"},
	{"Go idle", Idle, "runtime.futex.abi0 runtime.futexsleep runtime.notesleep runtime.mPark runtime.stopm runtime.findRunnable runtime.schedule"},
	{"Go monitor", Idle, "runtime.futex runtime.futexsleep runtime.notetsleep_internal runtime.notetsleep runtime.sysmon"},
	{"Go stop the world", Condition, "runtime.futex runtime.futexsleep runtime.notetsleep runtime.stopTheWorldWithSema runtime.(*mheap).x"},
	{"Rust mutex", Mutex, "syscall std::sys::pal::unix::futex::futex_wait std::sys::sync::mutex::futex::Mutex::lock_contended app::main"},
	{"Rust rwlock", RWLock, "syscall std::sys::sync::rwlock::futex::RwLock::write_contended"},
	{"Rust condition", Condition, "syscall std::sys::sync::condvar::futex::Condvar::wait_optional_timeout app::run"},
	{"Rust park", Condition, "syscall std::sys::sync::thread_parking::futex::Parker::park std::thread::park"},
	{"Rust once", Once, "syscall std::sys::sync::once::futex::Once::call"},
	{"parking_lot", Mutex, "syscall <parking_lot_core::thread_parker::imp::ThreadParker|as|T>::park parking_lot::raw_mutex::RawMutex::lock_slow"},
	{"tokio idle", Idle, "syscall parking_lot::condvar::Condvar::wait_until_internal tokio::runtime::blocking::pool::Inner::run"},
	{"task in tokio", Condition, "syscall std::sys::sync::condvar::futex::Condvar::wait" + strings.Repeat(" app::task", 12) + " tokio::runtime::blocking::pool::Inner::run"},
	{"Java synchronized", Mutex, "pthread_cond_wait os::PlatformEvent::park() ObjectMonitor::EnterI(JavaThread*) ObjectMonitor::enter(JavaThread*)"},
	{"Object.wait", Condition, "pthread_cond_timedwait os::PlatformEvent::park(long) ObjectMonitor::wait(long,|bool,|JavaThread*)"},
	{"Java park", Condition, "pthread_cond_wait Parker::park(bool,|long) Unsafe_Park"},
	{"ReentrantLock", Mutex, "pthread_cond_wait Parker::park Unsafe_Park java.util.concurrent.locks.LockSupport.park java.util.concurrent.locks.ReentrantLock$Sync.lock"},
	{"Java pool", Idle, "pthread_cond_wait Parker::park Unsafe_Park Ljava/util/concurrent/locks/LockSupport;::park Ljava/util/concurrent/ThreadPoolExecutor;::getTask"},
	{"compiler thread", Idle, "pthread_cond_timedwait os::PlatformMonitor::wait(unsigned|long) Monitor::wait(unsigned|long) CompileQueue::get(CompilerThread*)"},
	{"JVM mutex", Mutex, " Mutex::lock(Thread*) VMThread::execute(VM_Operation*)"},
	{"Python GIL", Mutex, "pthread_cond_timedwait take_gil PyEval_RestoreThread"},
	{"Python lock", Mutex, "sem_clockwait PyThread_acquire_lock_timed lock_PyThread_acquire_lock"},
	{"libuv", Condition, "pthread_cond_wait uv_cond_wait worker start_thread"},
	{"node", Idle, "pthread_cond_wait uv_cond_wait node::TaskQueue<v8::Task>::BlockingPop() node::(anonymous|namespace)::PlatformWorkerThread(void*)"},
	{"OpenMP", Barrier, "futex_wait do_wait gomp_team_barrier_wait_end"},
	{"nothing known", Futex, "syscall main"},
}

func functionsOf(stack string) []string {
	functions := strings.Split(stack, " ")
	for i := range functions {
		functions[i] = strings.ReplaceAll(functions[i], "|", " ")
	}
	return functions
}

func TestUserKinds(t *testing.T) {
	for _, s := range stacks {
		assert.Equal(t, s.want, Kind(0, functionsOf(s.functions)), s.name)
	}
}

func TestWaitsForWork(t *testing.T) {
	for _, kind := range []string{Condition, Idle, Join} {
		assert.True(t, WaitsForWork(kind), kind)
	}
	for _, kind := range []string{Mutex, PIMutex, RWLock, Semaphore, Barrier, Once, Futex, Spin, RWSemRead, Kernel, ""} {
		assert.False(t, WaitsForWork(kind), kind)
	}
}

func TestPlain(t *testing.T) {
	for name, want := range map[string]string{
		"":                            "",
		"__GI___pthread_mutex_lock":   "pthread_mutex_lock",
		"sem_wait@GLIBC_2.2.5":        "sem_wait",
		"@x":                          "@x",
		"a.part.0.cold":               "a",
		"runtime.(*timer).run":        "runtime.(*timer).run",
		"std::vector<int, A<B> >::at": "std::vector::at",
		"void f<int>(int)":            "f",
		"<a::B<C> as d::E>::f":        "a::B::f",
		"a(b) const [clone .part.1]":  "a",
		"(anonymous namespace)::f(<":  "f",
		"operator<<":                  "operator",
	} {
		assert.Equal(t, want, plain(name), name)
	}
}

// FuzzKind gives names of hostile symbol tables.
func FuzzKind(f *testing.F) {
	for _, s := range stacks {
		f.Add(uint16(0), s.functions)
	}
	known := []string{
		Mutex, PIMutex, RWLock, Condition, Semaphore, Join, Barrier, Once, Idle, Futex,
		Spin, RWSemRead, RWSemWrite, RTMutex, PerCPURWSem, RWLockRead, RWLockWrite, Kernel,
	}
	f.Fuzz(func(t *testing.T, detail uint16, functions string) {
		if kind := Kind(detail, functionsOf(functions)); !slices.Contains(known, kind) {
			t.Errorf("kind %q", kind)
		}
	})
}

func BenchmarkKind(b *testing.B) {
	functions := functionsOf("__futex_abstimed_wait_common pthread_cond_wait@@GLIBC_2.3.2 std::condition_variable::wait(std::unique_lock<std::mutex>&) a::b<c>::d() e f g start_thread clone3")
	for b.Loop() {
		if Kind(0, functions) != Condition {
			b.Fatal("wrong kind")
		}
	}
}
