//go:build ignore

// SPDX-License-Identifier: (GPL-2.0-only OR BSD-3-Clause)

/* Time off the CPU, exactly, for Linux 6.18 and later: where a thread waited is
 * looked at after the wait, and only if it was long. Its kernel stack is still
 * there when the kernel switches back to it; its user stack is unwound by itself
 * (bpf_task_work) on its way back to user mode. */

#define PREEMPTIBLE
#include "offcpu.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* Waits of one thread at one place in the kernel that it has not yet come back
 * from to user mode: a system call can wait many times. */
struct pending_key {
	__u64 place; /* hash of the kernel stack and the wait state */
	__u32 tid;
	__u32 pad;
};

struct bpf_task_work {
	__u64 opaque;
};

struct pending {
	struct bpf_task_work work;
	__u64 taken; /* the work has begun: nothing can be added */
	__u64 count, sum, min, max;
	/* A thread can be preempted in its work by another one in its own, so that
	 * memory of the processor would not do. */
	struct scratch scratch;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 2048);
	__type(key, struct pending_key);
	__type(value, struct pending);
} pending SEC(".maps");

/* What a value of the map above begins as; only maps of some kinds can have
 * values with task work. */
struct pending_image {
	__u64 work;
	__u64 taken;
	__u64 count, sum, min, max;
	struct scratch scratch;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct pending_image);
} images SEC(".maps");

struct bpf_map {
	unsigned int id;
} CORE;

extern int bpf_task_work_schedule_resume_impl(struct task_struct *task, struct bpf_task_work *work, void *map,
					      int (*callback)(struct bpf_map *map, void *key, void *value), void *aux) __weak __ksym;
extern void bpf_preempt_disable(void) __weak __ksym;
extern void bpf_preempt_enable(void) __weak __ksym;

/* Runs in the thread that waited, when it is about to go on in user mode or to
 * die. It is preemptible. */
static int complete(struct bpf_map *map, void *key, void *value)
{
	struct pending_key k = *(struct pending_key *)key;
	struct pending *p = value;
	__u64 start = bpf_ktime_get_ns();

	p->taken = 1;
	if (!take_current(&p->scratch)) {
		/* So that Collect waits until the counts map is let go of, and others
		 * do not find this processor writing. */
		bpf_preempt_disable();
		count_waits(&p->scratch.rec, p->count, p->sum, p->min, p->max);
		bpf_preempt_enable();
	}
	bpf_map_delete_elem(&pending, &k);
	add(C_RUN_NS, bpf_ktime_get_ns() - start);
	return 0;
}

/* Notes a wait that reached the threshold, and has the thread complete it. */
static __always_inline void postpone(struct task_struct *next, struct wait *w, __u64 duration)
{
	__u32 zero = 0;
	struct pending_image *image = bpf_map_lookup_elem(&images, &zero);
	struct pending_key key = {.tid = next->pid};
	struct stack_record *r;
	struct pending *p;
	long err;

	if (!image)
		return;
	if (next->flags & PF_EXITING && !next->files) { /* work may not be done any more */
		leave_out(C_NO_WORK);
		return;
	}
	r = &image->scratch.rec;
	r->object = w->state;
	set_kernel_frames(r, bpf_get_task_stack(next, r->frames, MAX_FRAMES * 8, 0));
	key.place = mix_frames(w->state, r, r->kernel_frames);
	p = bpf_map_lookup_elem(&pending, &key);
	if (p) {
		if (p->taken) {
			leave_out(C_NO_WORK);
			return;
		}
		/* Only this thread has to do with it, and it does not run yet. */
		p->count++;
		p->sum += duration;
		if (duration < p->min)
			p->min = duration;
		if (duration > p->max)
			p->max = duration;
		return;
	}
	image->taken = 0;
	image->count = 1;
	image->sum = image->min = image->max = duration;
	err = bpf_map_update_elem(&pending, &key, image, BPF_NOEXIST);
	if (err) {
		leave_out(err == -7 ? C_HASH_FULL : C_NO_STORAGE); /* -E2BIG */
		return;
	}
	p = bpf_map_lookup_elem(&pending, &key);
	if (!p)
		return;
	if (bpf_task_work_schedule_resume_impl(next, &p->work, &pending, complete, 0)) {
		bpf_map_delete_elem(&pending, &key);
		leave_out(C_NO_WORK);
	}
}

SEC("tp_btf/sched_switch")
int BPF_PROG(aperture_off_cpu, int preempt, struct task_struct *prev, struct task_struct *next)
{
	__u32 state = has_prev_state ? ctx[3] : prev->__state;
	__u64 now = bpf_ktime_get_ns(), duration;
	int slow = 0, below = 0;
	struct wait *w;

	if (is_user_thread(prev))
		begin_wait(prev, preempt, state, now);
	if (is_user_thread(next)) {
		w = end_wait(next, now, &duration);
		if (w) {
			slow = duration >= min_ns;
			below = !slow;
			if (slow)
				postpone(next, w, duration);
		}
	}
	account(now, slow, below);
	return 0;
}
