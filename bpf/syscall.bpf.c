//go:build ignore

// SPDX-License-Identifier: (GPL-2.0-only OR BSD-3-Clause)

/* Latency of system calls: every call is timed and counted in the row of its
 * process, number, outcome and magnitude. Calls slower than a threshold are
 * counted with the stack that made them instead. */

#include "count.h"
#include "syscallrows.h"
#include "unwind.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* Set by the loader. */
const volatile __u64 slow_ns = 0; /* calls that take as long are slow */

#define LATENCY_BUCKETS 30
#define MAX_NR 1024           /* larger numbers are counted together: */
#define NO_SUCH_NR 0xffffffff /* a program can make up any number of them */
#define DETAIL_ERROR 0x8000
#define MAX_ERRNO 4095
#define FIRST_RESTART 512 /* the kernel makes the call again, or it is EINTR */
#define LAST_RESTART 516
/* Jiffies after which a thread may have become a target, or a notice of its
 * process that was lost be worth another try. */
#define MEET_AGAIN 250
#define COST_SHIFT 6   /* the program is measured at one call of 2^6 */

#if defined(__TARGET_ARCH_arm64)
#define NR_RT_SIGRETURN 139
#else
#define NR_RT_SIGRETURN 15

struct thread_info {
	__u32 status;
} CORE;

struct task_struct___thread_info {
	struct thread_info thread_info;
} CORE;
#endif

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct thread);
} threads SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct scratch);
} scratches SEC(".maps");

static __always_inline struct scratch *get_scratch(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&scratches, &zero);
}

/* Notes what a call costs that stands for many. Both programs find the thread
 * and read the clock; for the kernel to get to the programs and back takes about
 * half as long again; what else was done was done since now. */
static __always_inline void measure(struct task_struct *task, __u64 now)
{
	__u64 before = bpf_ktime_get_ns();

	if (bpf_task_storage_get(&threads, task, 0, 0))
		add(C_RUN_NS, (before - now + 3 * (bpf_ktime_get_ns() - before)) << COST_SHIFT);
}

/* Finds out who the thread is and whether its calls matter; announces its
 * process if it is not known. 0 if the call is to be looked at further. */
static __noinline int meet(struct thread *t)
{
	struct scratch *s = get_scratch();
	struct stack_record *r;
	__u32 flags = 0;

	if (!s || !t)
		return -1;
	r = &s->rec;
	t->exec_id = ((struct task_struct *)bpf_get_current_task_btf())->self_exec_id + 1;
	t->met = bpf_jiffies64();
	if (identify(r, &flags)) { /* which counted this call */
		t->ignored = skip_tgid && r->tgid == skip_tgid ? C_SKIPPED : C_FOREIGN_PIDNS;
		return -1;
	}
	t->image = image_of(r);
	t->tgid = r->tgid;
	t->seed = mix(t->image, t->tgid);
	t->ignored = is_target(r) ? 0 : C_FILTERED;
	return 0;
}

/* Whether the call is of another table of numbers than the machine's own. */
static __always_inline int is_foreign(struct task_struct *task, struct pt_regs *regs)
{
#if defined(__TARGET_ARCH_arm64)
	return regs->pstate & 0x10; /* PSR_MODE32_BIT */
#else
	/* TS_COMPAT; x32 has its own bit in the number, which is above MAX_NR. */
	return ((struct task_struct___thread_info *)task)->thread_info.status & 2;
#endif
}

SEC("tp_btf/sys_enter")
int BPF_PROG(aperture_sys_enter, struct pt_regs *regs, long nr)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task_btf();
	struct thread *t = bpf_task_storage_get(&threads, task, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);

	if (!t) {
		add(C_NO_STORAGE, 1);
		return 0;
	}
	if (t->exec_id != task->self_exec_id + 1 || bpf_jiffies64() - t->met > MEET_AGAIN) {
		if (meet(t))
			return 0;
	}
	if (t->ignored) {
		add(t->ignored, 1);
		if (!(++t->unmeasured & ((1 << COST_SHIFT) - 1)))
			measure(task, bpf_ktime_get_ns());
		return 0;
	}
	if (is_foreign(task, regs)) {
		add(C_FOREIGN_ABI, 1);
		return 0;
	}
	t->nr = (__u64)nr < MAX_NR ? nr : NO_SUCH_NR;
	t->start = bpf_ktime_get_ns();
	return 0;
}

/* floor(log2(ns)), 0 for 0, the last bucket for all that is larger. */
static __always_inline __u32 bucket_of(__u64 ns)
{
	__u32 v = ns, b = 0;

	if (ns >> (LATENCY_BUCKETS - 1))
		return LATENCY_BUCKETS - 1;
	if (v >> 16) {
		v >>= 16;
		b = 16;
	}
	if (v >> 8) {
		v >>= 8;
		b += 8;
	}
	if (v >> 4) {
		v >>= 4;
		b += 4;
	}
	if (v >> 2) {
		v >>= 2;
		b += 2;
	}
	return b + (v >> 1);
}

/* Counts the call with its user stack. */
static __noinline int count_slow(struct thread *t, __u64 duration, __u32 detail)
{
	struct scratch *s = get_scratch();
	__u32 flags = 0;
	struct stack_record *r;

	if (!s || !t)
		return 0;
	r = &s->rec;
	if (identify(r, &flags))
		return 0;
	r->profile = PROFILE_SYSCALL;
	r->object = t->nr;
	r->detail = detail;
	r->status = 0;
	r->kernel_frames = 0;
	r->user_frames = 0;
	take_user_stack(s);
	r->hash = hash_record(r);
	count_record(r, duration, 1);
	return 0;
}

static __always_inline int is_error(long ret)
{
	return ret < 0 && ret >= -MAX_ERRNO && !(ret <= -FIRST_RESTART && ret >= -LAST_RESTART);
}

static __always_inline int leave(long ret, int stacks)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task_btf();
	struct thread *t = bpf_task_storage_get(&threads, task, 0, 0);
	__u64 now, duration;
	__u32 detail;

	/* Calls that began before this program did, and the first return of a new
	 * thread, have no start. */
	if (!t || !t->start)
		return 0;
	now = bpf_ktime_get_ns();
	duration = now - t->start;
	t->start = 0;
	detail = bucket_of(duration);
	if (is_error(ret) && t->nr != NR_RT_SIGRETURN) /* which returns what some register was */
		detail |= DETAIL_ERROR;
	/* After exec, the stack is not that of the call. */
	if (stacks && duration >= slow_ns && t->exec_id == task->self_exec_id + 1) {
		count_slow(t, duration, detail);
		add(C_RUN_NS, bpf_ktime_get_ns() - now);
		return 0;
	}
	count_call(t, duration, detail);
	/* Chosen by the clock, so that it costs the other calls nothing. */
	if (!(now * 0x9e3779b97f4a7c15ULL >> (64 - COST_SHIFT)))
		measure(task, now);
	return 0;
}

SEC("tp_btf/sys_exit")
int BPF_PROG(aperture_sys_exit, struct pt_regs *regs, long ret)
{
	return leave(ret, 0);
}

/* Needs bpf_task_pt_regs; loaded from kernel 5.17 on. */
SEC("tp_btf/sys_exit")
int BPF_PROG(aperture_sys_exit_slow, struct pt_regs *regs, long ret)
{
	return leave(ret, 1);
}
