/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-3-Clause) */
#pragma once

/* What the profiles of user and of kernel locks share: a wait becomes a sample
 * with the address of the lock as its object. Waits below the threshold are
 * counted exactly, too, but by process, thread name and kind of operation only:
 * without a stack and without the address, so that they are cheap and few. */

#include "count.h"
#include "unwind.h"

/* Set by the loader: nanoseconds from which on a wait has a stack. */
volatile __u64 min_duration = 10000; /* not const: it is changed while the programs run */

/* Besides the operation of a user lock or the flags of a kernel lock. */
enum lock_detail {
	LOCK_TIMED_OUT = 0x100, /* user */
	LOCK_SHARED = 0x200,    /* user: without FUTEX_PRIVATE_FLAG */
	LOCK_REALTIME = 0x400,  /* user: with FUTEX_CLOCK_REALTIME */
	LOCK_KERNEL = 0x8000,
};

/* Nanoseconds that the beginning of a wait takes, which is not measured: a look
 * at the clock would take as long as all the rest. */
#define BEGIN_NS 50

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

/* Counts a wait of the running thread. ctx is 0 for user locks, which have no
 * kernel frames: they would all be those of the system call. */
static __always_inline void sample_wait(void *ctx, struct scratch *s, __u64 lock, __u16 detail, __u64 duration, int stack)
{
	struct stack_record *r = &s->rec;
	__u32 flags = 0;

	if (identify(r, &flags))
		return;
	r->profile = PROFILE_LOCK;
	r->object = stack ? lock : 0;
	r->detail = detail;
	r->status = 0;
	r->kernel_frames = 0;
	r->user_frames = 0;
	r->end = END_NONE;
	if (flags & PF_KTHREAD) {
		r->status |= ST_KTHREAD;
		if (targeted) {
			add(C_FILTERED, 1);
			return;
		}
	} else if (!is_target(r)) {
		add(C_FILTERED, 1);
		return;
	}
	if (stack) {
		if (ctx)
			take_kernel_stack(ctx, r);
		if (!(flags & PF_KTHREAD))
			take_user_stack(s);
	}
	r->hash = hash_record(r);
	if (count_record(r, duration, 1))
		return;
	if (flags & PF_KTHREAD)
		add(C_KTHREAD, 1);
	if (!stack)
		add(C_STACKLESS, 1);
}

/* Accounts for a wait that ended now. */
static __always_inline void end_wait(void *ctx, __u64 lock, __u16 detail, __u64 now, __u64 duration, int stack)
{
	struct scratch *s = get_scratch();

	if (!s || s->busy) {
		add(C_NESTED, 1);
		return;
	}
	s->busy = 1;
	sample_wait(ctx, s, lock, detail, duration, stack);
	s->busy = 0;
	add(C_RUN_NS, bpf_ktime_get_ns() - now + BEGIN_NS);
}
