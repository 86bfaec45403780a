//go:build ignore

// SPDX-License-Identifier: (GPL-2.0-only OR BSD-3-Clause)

/* Time off the CPU, estimated, for kernels without task work (before 6.18).
 *
 * Takes stacks before waits, when it is not known how long they will be. A stack
 * costs more than a switch, so that not all can be taken: those of threads whose
 * last wait was long, as they are likely to wait long again; of the others one
 * in 64, which then counts as 64 waits. What is counted is right on average,
 * whether waits resemble each other or not, as the choice does not depend on the
 * wait that is measured.
 *
 * Loaded from kernel 5.17 on. */

#include "offcpu.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* Stacks that were taken before waits which have not ended, by thread. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, __u32);
	__type(value, struct scratch);
} sampled SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct scratch);
} scratches SEC(".maps");

/* One in so many waits has its stack taken if the wait before it was short. */
#define SAMPLE_WEIGHT 64

/* Takes the stack of the thread that begins to wait; the weight of its wait. */
static __always_inline __u32 sample(void *ctx, struct task_struct *prev, struct wait *w, __u32 weight)
{
	__u32 zero = 0, tid = prev->pid;
	struct scratch *s = bpf_map_lookup_elem(&scratches, &zero);

	if (!s)
		return 0;
	s->rec.object = w->state;
	set_kernel_frames(&s->rec, bpf_get_stack(ctx, s->rec.frames, MAX_FRAMES * 8, 0));
	if (take_current(s))
		return 0;
	if (bpf_map_update_elem(&sampled, &tid, s, BPF_ANY)) {
		leave_out(C_HASH_FULL);
		return 0;
	}
	return weight;
}

/* Counts the wait that ended if its stack was taken and it was long enough. */
static __always_inline void count_sampled(struct task_struct *next, struct wait *w, __u64 duration)
{
	__u32 tid = next->pid;
	__u64 n = w->weight;
	struct scratch *s;

	w->weight = 0;
	if (duration >= min_ns) {
		s = bpf_map_lookup_elem(&sampled, &tid);
		if (s)
			count_waits(&s->rec, n, n * duration, duration, duration);
	} else {
		leave_out(C_BELOW);
	}
	bpf_map_delete_elem(&sampled, &tid);
}

SEC("tp_btf/sched_switch")
int BPF_PROG(aperture_off_cpu_sampled, int preempt, struct task_struct *prev, struct task_struct *next)
{
	__u32 state = has_prev_state ? ctx[3] : prev->__state;
	__u64 now = bpf_ktime_get_ns(), duration;
	int slow = 0, below = 0;
	struct wait *w;

	if (is_user_thread(prev)) {
		w = begin_wait(prev, preempt, state, now);
		/* Another product than that of account, which would be chosen along. */
		if (w && (w->was_long || now * 0xd6e8feb86659fd93ULL >> 58 == 0)) {
			w->weight = sample(ctx, prev, w, w->was_long ? 1 : SAMPLE_WEIGHT);
			slow = 1;
		}
	}
	if (is_user_thread(next)) {
		w = end_wait(next, now, &duration);
		if (w) {
			w->was_long = duration >= min_ns;
			below = !w->was_long && !w->weight;
			if (w->weight) {
				count_sampled(next, w, duration);
				slow = 1;
			}
		}
	}
	account(now, slow, below);
	return 0;
}
