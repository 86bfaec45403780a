/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-3-Clause) */
#pragma once

/* Time off the CPU: what the two programs that measure it have in common. Each
 * measures every wait of user threads from the switch away from the thread to the
 * switch back to it, and counts those that reach a threshold by their stack.
 *
 * A switch costs a microsecond, and most waits are short, so that what happens
 * on each of them must be cheap: one reading of the clock and two accesses to
 * the storage of threads. */

#include "count.h"
#include "unwind.h"

/* Set by user space, also while the programs run. */
volatile __u64 min_ns = 1000000;

/* The parameter prev_state of the tracepoint, since 5.18. */
const volatile __u32 has_prev_state = 0;

/* Bits of task_struct.__state. */
#define STATE_INTERRUPTIBLE 0x1
#define STATE_UNINTERRUPTIBLE 0x2
#define STATE_STOPPED 0x4
#define STATE_TRACED 0x8
#define STATE_DEAD 0x80
#define STATE_NOLOAD 0x400
#define STATE_RTLOCK_WAIT 0x1000
#define STATE_FROZEN 0x8000

/* Bits of task_struct.flags: threads that never run in user mode. */
#define PF_IO_WORKER 0x10
#define PF_USER_WORKER 0x4000
#define PF_EXITING 0x4

/* Why a thread was off the CPU, as OffCPUState in offcpu.go. */
enum wait_state {
	WAIT_RUNNABLE, /* preempted, or it yielded */
	WAIT_INTERRUPTIBLE,
	WAIT_UNINTERRUPTIBLE,
	WAIT_STOPPED,
	WAIT_TRACED,
	WAIT_IDLE,
	WAIT_OTHER,
};

struct wait {
	__u64 since; /* 0 while the thread runs */
	__u16 state; /* enum wait_state */
	__u16 was_long; /* the wait before reached the threshold */
	__u32 weight; /* of the stack that was sampled, 0 if none was */
};

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct wait);
} waits SEC(".maps");

static __always_inline __u16 wait_state(int preempt, __u32 state)
{
	if (preempt || !state)
		return WAIT_RUNNABLE;
	if (state & STATE_INTERRUPTIBLE)
		return WAIT_INTERRUPTIBLE;
	if (state & STATE_UNINTERRUPTIBLE)
		return state & STATE_NOLOAD ? WAIT_IDLE : WAIT_UNINTERRUPTIBLE;
	if (state & (STATE_RTLOCK_WAIT | STATE_FROZEN)) /* as /proc has it */
		return WAIT_UNINTERRUPTIBLE;
	if (state & STATE_STOPPED)
		return WAIT_STOPPED;
	if (state & STATE_TRACED)
		return WAIT_TRACED;
	return WAIT_OTHER;
}

/* Whether the waits of a thread are of interest; says yes to a thread of the
 * process to leave out if only its own pid namespace knows its number. */
static __always_inline int is_user_thread(struct task_struct *task)
{
	if (task->flags & (PF_KTHREAD | PF_IO_WORKER | PF_USER_WORKER))
		return 0;
	return !skip_tgid || pidns_ino || task->tgid != skip_tgid;
}

/* True once in 64 times on average. The product spreads what the clock has
 * above its resolution. */
static __always_inline int one_in_64(__u64 now)
{
	return now * 0x9e3779b97f4a7c15ULL >> 58 == 0;
}

/* Accounts for an event that is not counted. */
static __always_inline void leave_out(enum counter why)
{
	add(C_RUNS, 1);
	add(why, 1);
}

/* Begins a wait; 0 if it is not measured. */
static __always_inline struct wait *begin_wait(struct task_struct *prev, int preempt, __u32 state, __u64 now)
{
	struct wait *w;

	if (state & STATE_DEAD && !preempt)
		return 0;
	w = bpf_task_storage_get(&waits, prev, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!w) {
		leave_out(C_NO_STORAGE);
		return 0;
	}
	w->since = now;
	w->state = wait_state(preempt, state);
	return w;
}

/* Ends a wait; *duration is how long it was. 0 if it was not measured. */
static __always_inline struct wait *end_wait(struct task_struct *next, __u64 now, __u64 *duration)
{
	struct wait *w = bpf_task_storage_get(&waits, next, 0, 0);

	if (!w || !w->since)
		return 0;
	*duration = now - w->since;
	w->since = 0;
	return w;
}

/* Accounts for the time that the program took. What is done on every switch is
 * measured on one in 64, and so are waits below the threshold counted: both
 * would cost more than they are worth otherwise. */
static __always_inline void account(__u64 now, int slow, int below)
{
	int chosen = one_in_64(now);

	if (slow)
		add(C_RUN_NS, bpf_ktime_get_ns() - now);
	else if (chosen)
		add(C_RUN_NS, (bpf_ktime_get_ns() - now) * 64);
	if (below && chosen) {
		add(C_RUNS, 64);
		add(C_BELOW, 64);
	}
}

static __always_inline void set_kernel_frames(struct stack_record *r, long n)
{
	r->status = 0;
	r->kernel_frames = 0;
	if (n <= 0) {
		r->status = ST_KERNEL_ERROR;
		return;
	}
	/* The mask only tells the verifier what is known anyway. */
	r->kernel_frames = ((__u64)n / 8) & 127;
	if (r->kernel_frames == MAX_FRAMES)
		r->status = ST_KERNEL_TRUNCATED;
}

/* Counts n waits of the record. */
static __always_inline void count_waits(struct stack_record *r, __u64 n, __u64 sum, __u64 min, __u64 max)
{
	add(C_RUNS, n);
	if (r->status & ST_KERNEL_ERROR)
		add(C_KERNEL_ERROR, n);
	if (r->status & ST_KERNEL_TRUNCATED)
		add(C_KERNEL_TRUNCATED, n);
	r->hash = hash_record(r);
	count_records(r, n, sum, min, max, 1);
}

/* Identifies the current thread and takes its user stack; 0 if its process is
 * to be profiled. Otherwise the reason was counted. */
static __always_inline int take_current(struct scratch *s)
{
	struct stack_record *r = &s->rec;
	__u32 flags = 0;

	r->profile = PROFILE_OFF_CPU;
	r->detail = 0;
	r->user_frames = 0;
	r->end = END_NONE;
	if (identify(r, &flags)) {
		add(C_RUNS, 1);
		return -1;
	}
	if (!is_target(r)) {
		leave_out(C_FILTERED);
		return -1;
	}
	take_user_stack(s);
	return 0;
}
