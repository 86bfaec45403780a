/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-3-Clause) */
#pragma once

/* Samples are counted in the kernel, by the hash of their stack. */

#include "sample.h"

struct count_value {
	__u64 count;
	__u64 sum; /* of durations in nanoseconds; 0 for on-CPU samples */
	__u64 min;
	__u64 max;
	__u64 unsent; /* 1 while the stack could not be sent */
};

/* Two of these take turns: user space puts the empty one in and drains the
 * other when the kernel says that no program can hold it any more. */
struct counts_map {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__type(key, __u64);
	__type(value, struct count_value);
} counts_a SEC(".maps"), counts_b SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 1);
	__type(key, __u32);
	__array(values, struct counts_map);
} counts SEC(".maps");

/* Lowers or raises *to atomically; gives up after a few lost races, of which
 * the winner was closer in all likelihood. */
static __always_inline void to_min(__u64 *to, __u64 v)
{
#pragma unroll
	for (int i = 0; i < 4; i++) {
		__u64 old = *(volatile __u64 *)to;

		if (v >= old || __sync_val_compare_and_swap(to, old, v) == old)
			return;
	}
}

static __always_inline void to_max(__u64 *to, __u64 v)
{
#pragma unroll
	for (int i = 0; i < 4; i++) {
		__u64 old = *(volatile __u64 *)to;

		if (v <= old || __sync_val_compare_and_swap(to, old, v) == old)
			return;
	}
}

/* Counts n events of the record, whose hash is set, with their durations (all 0
 * and timed == 0 for on-CPU samples), and sends its stack if it is new. Returns 0
 * if there was room. */
static __always_inline int count_records(struct stack_record *r, __u64 n, __u64 sum, __u64 min, __u64 max, int timed)
{
	__u32 zero = 0;
	struct count_value first = {.count = n, .sum = sum, .min = min, .max = max, .unsent = 1};
	struct count_value *v;
	void *map = bpf_map_lookup_elem(&counts, &zero);
	__u32 *w;
	long err = -1;

	if (!map)
		goto full;
	v = bpf_map_lookup_elem(map, &r->hash);
	if (!v) {
		w = begin_writing();
		err = bpf_map_update_elem(map, &r->hash, &first, BPF_NOEXIST);
		end_writing(w);
		v = bpf_map_lookup_elem(map, &r->hash);
		if (!v)
			goto full;
	}
	if (err) { /* it was there, or another CPU was first */
		__sync_fetch_and_add(&v->count, n);
		if (timed) {
			__sync_fetch_and_add(&v->sum, sum);
			to_min(&v->min, min);
			to_max(&v->max, max);
		}
	}
	if (v->unsent) {
		w = begin_writing();
		if (!send_stack(r))
			v->unsent = 0;
		end_writing(w);
	}
	add(C_SAMPLES, n);
	return 0;
full:
	add(C_HASH_FULL, n);
	return -1;
}

/* Counts one event of the record, in the same way. */
static __always_inline int count_record(struct stack_record *r, __u64 duration, int timed)
{
	return count_records(r, 1, duration, duration, duration, timed);
}
