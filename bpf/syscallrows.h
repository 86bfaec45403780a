/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-3-Clause) */
#pragma once

/* Where system calls are counted. syscallrows.go takes the counts out. */

#include "sample.h"

#define ROWS 32768
#define ROW_SHIFT 8   /* bits of a hash that do not tell where the row is */
#define MAX_PROBES 64 /* rows that are looked at before the table counts as full */

/* Set by the loader. */
const volatile __u32 row_mask = ROWS - 1;     /* rows of a table - 1, a power of two */
const volatile __u32 max_rows = ROWS / 4 * 3; /* of them in use */

/* What is known of a thread, so that a call need not find it out. */
struct thread {
	__u64 start; /* of the call, 0 outside of one */
	__u64 image;
	__u64 exec_id; /* that the rest was found out for, plus 1 */
	__u64 met;     /* when, in jiffies */
	__u64 seed;    /* of the hashes of its calls */
	__u32 nr;
	__u32 tgid;
	__u32 ignored;    /* the counter of its calls if they are not looked at */
	__u32 unmeasured; /* how many those were */
};

/* Calls are counted in rows of their process, number, outcome, bucket and
 * processor: a row has one writer, so it needs no atomics, and memory only for
 * the processors where a process runs. A row is found by a 64-bit hash of all
 * that, in a table with open addressing: a hash map of the kernel takes half as
 * long as all the rest. */
struct row {
	__u64 tag; /* the hash, 0 while the row is free */
	__u64 count;
	__u64 sum; /* of durations in nanoseconds */
	__u64 min;
	__u64 max;
	__u64 image;
	__u64 cgroup_id; /* of the thread that made the first of the calls */
	__u32 tgid;
	__u32 nr;
	char comm[COMM_LEN]; /* name of the process, empty after exec */
	__u32 detail;        /* bucket, DETAIL_ERROR */
	__u32 claimed;       /* in row i: where the row is that was claimed as number i */
	__u64 pad[5];        /* the counts are in one cache line */
};

/* Two of these take turns, as the counts do. The tag of the first row, which is
 * never used as one, is the number of rows in use. More than 4 MiB would be too
 * much for a value on older kernels. */
struct rows_map {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, ROWS * sizeof(struct row));
} rows_a SEC(".maps"), rows_b SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 1);
	__type(key, __u32);
	__array(values, struct rows_map);
} rows SEC(".maps");

static __always_inline struct row *row_at(void *table, __u32 i)
{
	return table + sizeof(struct row) * (i & row_mask);
}

/* Finds a row which is not where it belongs, or makes it. */
static __noinline struct row *claim_row(struct thread *t, void *table, __u64 tag, __u32 detail)
{
	struct row *head = table;
	struct task_struct *task;
	struct row *r = 0;
	__u32 i, at = 0;

#pragma clang loop unroll(disable)
	for (i = 0; i < MAX_PROBES; i++) {
		at = (tag >> ROW_SHIFT) + i;
		r = row_at(table, at);
		if (r->tag == tag)
			return r;
		if (r->tag || r == head)
			continue;
		if (head->tag >= max_rows)
			return 0;
		if (!__sync_val_compare_and_swap(&r->tag, 0, tag)) /* else another processor was first */
			goto claimed;
	}
	return 0;
claimed:
	row_at(table, __sync_fetch_and_add(&head->tag, 1))->claimed = at & row_mask;
	task = (struct task_struct *)bpf_get_current_task_btf();
	r->min = ~0ULL;
	r->image = t->image;
	r->tgid = t->tgid;
	r->nr = t->nr;
	r->detail = detail;
	r->cgroup_id = bpf_get_current_cgroup_id();
	if (t->exec_id == task->self_exec_id + 1)
		bpf_probe_read_kernel_str(r->comm, sizeof(r->comm), task->group_leader->comm);
	return r;
}

static __always_inline void count_call(struct thread *t, __u64 duration, __u32 detail)
{
	/* Of one seed, no two calls have the same hash but for the lowest bit. */
	__u64 tag = mix(t->seed, (__u64)bpf_get_smp_processor_id() << 48 | (__u64)t->nr << 16 | detail) | 1;
	__u32 zero = 0;
	void *map = bpf_map_lookup_elem(&rows, &zero), *table;
	struct row *r;

	if (!map)
		goto full;
	table = bpf_map_lookup_elem(map, &zero);
	if (!table)
		goto full;
	r = row_at(table, tag >> ROW_SHIFT);
	if (r->tag != tag) {
		r = claim_row(t, table, tag, detail);
		if (!r)
			goto full;
	}
	r->count++;
	r->sum += duration;
	if (duration < r->min)
		r->min = duration;
	if (duration > r->max)
		r->max = duration;
	add(C_SAMPLES, 1);
	return;
full:
	add(C_HASH_FULL, 1);
}
