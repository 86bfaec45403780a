//go:build ignore

// SPDX-License-Identifier: (GPL-2.0-only OR BSD-3-Clause)

/* On-CPU sampling: runs on every tick of a per-CPU software clock and counts
 * the kernel and user stack of what is running. */

#include "count.h"
#include "unwind.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

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

/* The user stack along the frame pointers, as raw addresses, for kernels
 * before 5.17. */
static __always_inline void take_fp_stack(void *ctx, struct stack_record *r)
{
	long n = bpf_get_stack(ctx, &r->frames[r->kernel_frames & 127], MAX_FRAMES * 8, BPF_F_USER_STACK);

	r->user_frames = n > 0 ? ((__u64)n / 8) & 127 : 0;
	r->end = r->user_frames == MAX_FRAMES ? END_TRUNCATED : r->user_frames ? END_FP_CHAIN : END_READ;
	add(C_FRAMES, r->user_frames);
	add(C_END + r->end, 1);
}

static __always_inline void sample(struct perf_event_context *ctx, struct scratch *s, int unwind)
{
	struct stack_record *r = &s->rec;
	__u32 flags = 0;

	if (identify(r, &flags))
		return;
	r->profile = PROFILE_CPU;
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
		add(C_KTHREAD, 1);
	} else if (!is_target(r)) {
		add(C_FILTERED, 1);
		return;
	}
	if (IS_KERNEL(ctx->ip))
		take_kernel_stack(ctx, r);
	if (!(flags & PF_KTHREAD)) {
		if (unwind)
			take_user_stack(s);
		else
			take_fp_stack(ctx, r);
	}
	r->hash = hash_record(r);
	count_record(r, 0, 0);
}

static __always_inline int tick(struct perf_event_context *ctx, int unwind)
{
	__u64 start = bpf_ktime_get_ns();
	struct scratch *s = get_scratch();

	add(C_RUNS, 1);
	if (!s)
		return 0;
	if (s->busy) {
		add(C_NESTED, 1);
		return 0;
	}
	s->busy = 1;
	sample(ctx, s, unwind);
	s->busy = 0;
	add(C_RUN_NS, bpf_ktime_get_ns() - start);
	return 0;
}

/* Needs bpf_task_pt_regs; loaded from kernel 5.17 on. */
SEC("perf_event")
int aperture_cpu(struct perf_event_context *ctx)
{
	return tick(ctx, 1);
}

/* Needs kernel 5.11. */
SEC("perf_event")
int aperture_cpu_fp(struct perf_event_context *ctx)
{
	return tick(ctx, 0);
}
