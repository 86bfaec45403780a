//go:build ignore

// SPDX-License-Identifier: (GPL-2.0-only OR BSD-3-Clause)

/* Kernel locks: what contends for spin locks, mutexes, semaphores and their
 * relatives in the kernel (since 5.19). Costs nothing where no lock is contended.
 *
 * The end of a wait is noticed with the lock held. So these programs must not
 * take a lock that could be that one: see `writing` in sample.h. And what they do
 * there makes others wait, so spin locks get a stack now and then only. */

#include "lock.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* Flags of contention_begin (include/trace/events/lock.h). */
#define LCB_F_SPIN 1
#define LCB_F_MUTEX 32

/* The least time between two stacks of spinning on one processor. A stack takes
 * 5 to 10 us, so others wait 1 % longer at most. The other waits that are above
 * the threshold are counted without a stack. */
#define SPIN_STACK_INTERVAL 1000000

struct wait {
	__u64 since;
	__u64 lock; /* 0: does not wait */
	__u64 flags;
};

/* Waits that can be interrupted by code that spins on its own: task, softirq,
 * interrupt, NMI. */
#define SPIN_SLOTS 4

struct spinning {
	struct wait waits[SPIN_SLOTS];
	__u64 last_stack;
};

/* Who spins stays on the processor. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct spinning);
} spinning SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct wait);
} sleeping SEC(".maps");

/* Finds room for a wait for lock: where it is already (a wait whose end was not
 * seen, as nobody waits twice for one lock), else a free place, else the oldest
 * one. */
static __always_inline struct wait *spin_slot(struct spinning *s, __u64 lock)
{
	struct wait *best = &s->waits[0];

#pragma unroll
	for (int i = 0; i < SPIN_SLOTS; i++) {
		struct wait *w = &s->waits[i];

		if (w->lock == lock)
			return w;
		if (best->lock && (!w->lock || w->since < best->since))
			best = w;
	}
	return best;
}

static __always_inline void lose(void)
{
	add(C_RUNS, 1);
	add(C_NESTED, 1);
}

SEC("tp_btf/contention_begin")
int BPF_PROG(aperture_contention_begin, void *lock, unsigned int flags)
{
	__u32 zero = 0;
	struct spinning *s;
	struct wait *w;

	if (is_writing()) {
		lose();
		return 0;
	}
	/* A mutex is spun on first, then slept on, by the same wait. */
	if ((flags & (LCB_F_SPIN | LCB_F_MUTEX)) == LCB_F_SPIN) {
		s = bpf_map_lookup_elem(&spinning, &zero);
		if (!s)
			return 0;
		w = spin_slot(s, (__u64)lock);
		if (w->lock)
			lose();
	} else {
		w = bpf_task_storage_get(&sleeping, bpf_get_current_task_btf(), 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
		if (!w) {
			add(C_RUNS, 1);
			add(C_NO_STORAGE, 1);
			return 0;
		}
		if (w->lock == (__u64)lock && flags & LCB_F_MUTEX)
			return 0;
		if (w->lock) /* its end was not seen */
			lose();
	}
	w->since = bpf_ktime_get_ns();
	w->flags = flags & ~(flags & LCB_F_MUTEX ? LCB_F_SPIN : 0);
	w->lock = (__u64)lock;
	return 0;
}

SEC("tp_btf/contention_end")
int BPF_PROG(aperture_contention_end, void *lock, int ret)
{
	__u32 zero = 0;
	struct spinning *s = bpf_map_lookup_elem(&spinning, &zero);
	struct wait *w = 0;
	__u64 now, duration;
	int spins = 0, stack;

	if (!s)
		return 0;
#pragma unroll
	for (int i = 0; i < SPIN_SLOTS; i++)
		if (s->waits[i].lock == (__u64)lock)
			w = &s->waits[i];
	if (w)
		spins = 1;
	else
		w = bpf_task_storage_get(&sleeping, bpf_get_current_task_btf(), 0, 0);
	if (!w || w->lock != (__u64)lock)
		return 0; /* began before the profile did, or was lost */
	now = bpf_ktime_get_ns();
	duration = now - w->since;
	w->lock = 0;
	add(C_RUNS, 1);
	stack = duration >= min_duration;
	if (spins) {
		if (!stack) { /* even a count would take longer than most of them */
			add(C_BELOW, 1);
			add(C_RUN_NS, BEGIN_NS + BEGIN_NS);
			return 0;
		}
		if (now - s->last_stack < SPIN_STACK_INTERVAL)
			stack = 0;
		else
			s->last_stack = now;
	}
	end_wait(ctx, (__u64)lock, LOCK_KERNEL | w->flags, now, duration, stack);
	return 0;
}
