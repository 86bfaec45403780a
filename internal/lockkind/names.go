package lockkind

import "strings"

// plain strips from the name of a function what tells variants of it apart:
// versions (pthread_mutex_lock@@GLIBC_2.2.5), parameters, template and generic
// arguments, what compilers add to clones (.part.0, .isra.0, .llvm.123), ABIs of
// Go (.abi0), the prefix of symbols that are internal to glibc, and leading
// underscores.
func plain(f string) string {
	if i := strings.IndexByte(f, '@'); i > 0 {
		f = f[:i]
	}
	// Packages of Go have dots and slashes, clones have dots in the last element.
	if !strings.Contains(f, "::") {
		for _, suffix := range []string{".abi0", ".part.", ".isra.", ".constprop.", ".cold", ".llvm."} {
			if i := strings.Index(f, suffix); i > 0 {
				f = f[:i]
			}
		}
	}
	f = withoutArguments(f)
	f = strings.TrimLeft(f, "_")
	f = strings.TrimPrefix(f, "GI_")
	return strings.TrimLeft(f, "_")
}

// withoutArguments removes everything in parentheses and angle brackets, so that
// std::foo<bar>::baz(int) [clone] becomes std::foo::baz.
func withoutArguments(f string) string {
	if !strings.ContainsAny(f, "(<") {
		return f
	}
	// Go: runtime.(*timer).run has its receiver in parentheses.
	if strings.Contains(f, ".(") {
		return f
	}
	// Rust: <T as Trait>::function begins with the type.
	if strings.HasPrefix(f, "<") {
		if typ, rest, ok := strings.Cut(f[1:], ">::"); ok {
			typ, _, _ = strings.Cut(typ, " as ")
			f = typ + "::" + rest
		}
	}
	var b strings.Builder
	depth := 0
	for i := range len(f) {
		switch f[i] {
		case '(', '<':
			depth++
		case ')', '>':
			depth = max(0, depth-1)
		default:
			if depth == 0 {
				b.WriteByte(f[i])
			}
		}
	}
	out := strings.ReplaceAll(b.String(), "::::", "::")
	out, _, _ = strings.Cut(out, " [")
	// A function template has its result in front.
	out = strings.TrimSuffix(strings.TrimSpace(out), " const")
	if i := strings.LastIndexByte(out, ' '); i >= 0 {
		out = out[i+1:]
	}
	return strings.TrimPrefix(out, "::")
}

// family is a kind of functions whose plain names begin in the same way.
type family struct{ prefix, kind string }

// primitives are functions of libc and of language runtimes that wait for a futex
// themselves: glibc and musl, C11, the Rust standard library, parking_lot, Abseil,
// libstdc++.
var primitives = []family{
	{"pthread_mutex_", Mutex},
	{"lll_lock_wait", Mutex}, // glibc
	{"lll_timedlock_wait", Mutex},
	{"lll_clocklock_wait", Mutex},
	{"mtx_", Mutex},
	{"pthread_cond_", Condition},
	{"cnd_", Condition},
	{"pthread_rwlock_", RWLock},
	{"sem_", Semaphore},
	{"new_sem_", Semaphore}, // glibc
	{"pthread_join", Join},
	{"pthread_timedjoin", Join},
	{"pthread_clockjoin", Join},
	{"thrd_join", Join},
	{"pthread_barrier_wait", Barrier},
	{"pthread_once", Once},
	{"call_once", Once},
	{"libc_once", Once},
	{"cxa_guard_acquire", Once},
	{"std::__atomic_futex_unsigned_base::", Condition}, // futures
	{"std::condition_variable::", Condition},
	{"std::__1::condition_variable::", Condition},
	{"absl::Mutex::Reader", RWLock},
	{"absl::Mutex::Await", Condition},
	{"absl::Mutex::LockWhen", Condition},
	{"absl::Mutex::", Mutex},
	{"absl::CondVar::", Condition},
	{"runtime.lock2", Mutex}, // Go
	{"runtime.lockWithRank", Mutex},
	{"runtime.notesleep", Condition},
	{"runtime.notetsleep", Condition},
}

// inner are parts of the names of such functions in languages with namespaces,
// which move between releases.
var inner = []family{
	{"Mutex::lock_contended", Mutex}, // std::sys::...::futex::Mutex
	{"RawMutex::lock_slow", Mutex},   // parking_lot
	{"RawReentrantMutex::lock_slow", Mutex},
	{"RwLock::read_contended", RWLock},
	{"RwLock::write_contended", RWLock},
	{"RawRwLock::lock_", RWLock},
	{"futex::Condvar::wait", Condition},
	{"futex_condvar::Condvar::wait", Condition},
	{"condvar::Condvar::wait", Condition},
	{"futex::Parker::park", Condition},
	{"futex::Once::", Once},
	{"parking_lot::once::Once::", Once},
	{"base_internal::SpinLock::SlowLock", Mutex}, // Abseil
	{"CallOnceImpl", Once},
}

func primitive(f string) string {
	for _, p := range primitives {
		if strings.HasPrefix(f, p.prefix) {
			return p.kind
		}
	}
	// Abseil has a versioned namespace: absl::lts_20240116::Mutex.
	if rest, ok := strings.CutPrefix(f, "absl::lts_"); ok {
		if _, name, ok := strings.Cut(rest, "::"); ok {
			return primitive("absl::" + name)
		}
	}
	for _, p := range inner {
		if strings.Contains(f, p.prefix) {
			return p.kind
		}
	}
	return ""
}
