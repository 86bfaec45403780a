package lockkind

import "strings"

// outer are functions that make a lock of conditions or semaphores, and those in
// which threads wait for work: CPython, HotSpot, CoreCLR, Go, node, Rust.
var outer = map[string]string{
	"take_gil":                     Mutex,
	"PyThread_acquire_lock_timed":  Mutex,
	"PyMutex_LockTimed":            Mutex,
	"PyCriticalSection_BeginSlow":  Mutex,
	"PyEvent_WaitTimed":            Condition,
	"VMThread::wait_for_operation": Idle,

	"ObjectMonitor::enter":                                   Mutex,
	"ObjectMonitor::EnterI":                                  Mutex,
	"ObjectMonitor::enter_internal":                          Mutex,
	"ObjectMonitor::ReenterI":                                Mutex,
	"ObjectMonitor::reenter_internal":                        Mutex,
	"ObjectMonitor::wait":                                    Condition,
	"Mutex::lock":                                            Mutex,
	"Mutex::lock_contended":                                  Mutex,
	"Mutex::lock_without_safepoint_check":                    Mutex,
	"CompileQueue::get":                                      Idle,
	"WorkerThread::run":                                      Idle,
	"GangWorker::loop":                                       Idle,
	"GCTaskManager::get_task":                                Idle,
	"ServiceThread::service_thread_entry":                    Idle,
	"NotificationThread::notification_thread_entry":          Idle,
	"MonitorDeflationThread::monitor_deflation_thread_entry": Idle,
	"WatcherThread::sleep":                                   Idle,

	"AwareLock::Enter":             Mutex,
	"AwareLock::EnterEpilog":       Mutex,
	"AwareLock::EnterEpilogHelper": Mutex,

	"runtime.stopm":          Idle,
	"runtime.stoplockedm":    Idle,
	"runtime.mPark":          Idle,
	"runtime.gcstopm":        Idle,
	"runtime.findRunnable":   Idle,
	"runtime.sysmon":         Idle,
	"runtime.templateThread": Idle,
	"os/signal.signal_recv":  Idle,

	"node::TaskQueue::BlockingPop":                          Idle,
	"node::DelayedTaskScheduler::Run":                       Idle,
	"v8::platform::DefaultWorkerThreadsTaskRunner::GetNext": Idle,
	"rayon_core::sleep::Sleep::sleep":                       Idle,
	"rayon_core::registry::WorkerThread::wait_until_cold":   Idle,
}

// outerPrefixes are the same by how their names begin.
var outerPrefixes = []family{
	{"tokio::runtime::scheduler::multi_thread::park::", Idle},
	{"tokio::runtime::blocking::pool::", Idle},
	{"tokio::runtime::thread_pool::park::", Idle},
	{"tokio::runtime::park::", Idle},
	{"uv_rwlock_", RWLock},
	{"uv_barrier_", Barrier}, // a condition where there are no barriers
	{"boost::shared_mutex::", RWLock},
	{"boost::barrier::", Barrier},
	{"std::shared_timed_mutex::", RWLock},
	{"tbb::detail::r1::market::", Idle},
	{"tbb::detail::r1::rml::private_worker::", Idle},
	{"gomp_team_barrier_wait", Barrier}, // OpenMP
	{"gomp_barrier_wait", Barrier},
	// Names that a JIT gives: what parks a Java thread.
	{"java.util.concurrent.locks.ReentrantLock", Mutex},
	{"java.util.concurrent.locks.ReentrantReadWriteLock", RWLock},
	{"java.util.concurrent.locks.StampedLock", RWLock},
	{"java.util.concurrent.Semaphore", Semaphore},
	{"java.util.concurrent.CountDownLatch", Barrier},
	{"java.util.concurrent.CyclicBarrier", Barrier},
	{"java.util.concurrent.ThreadPoolExecutor.getTask", Idle},
	{"java.util.concurrent.ForkJoinPool.awaitWork", Idle},
	{"java.lang.ref.", Idle},
}

// composed returns what a caller of a primitive tells, "" for nothing.
func composed(f string) string {
	// Java maps have slashes, a leading L, or :: before the method.
	if strings.HasPrefix(f, "Ljava/") || strings.HasPrefix(f, "java/") || strings.HasPrefix(f, "java.") {
		f = strings.ReplaceAll(strings.ReplaceAll(strings.TrimPrefix(f, "L"), "/", "."), ";::", ".")
		f = strings.ReplaceAll(f, "::", ".")
	}
	if kind := outer[f]; kind != "" {
		return kind
	}
	for _, p := range outerPrefixes {
		if strings.HasPrefix(f, p.prefix) {
			return p.kind
		}
	}
	return ""
}
