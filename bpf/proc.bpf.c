//go:build ignore

// SPDX-License-Identifier: (GPL-2.0-only OR BSD-3-Clause)

/* Life of processes: tells user space at once when a program begins and when a
 * process ends. This object also has all maps that the others share. */

#include "tables.h"

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

static __always_inline int tell(__u16 kind)
{
	struct scratch *s = get_scratch();
	__u32 flags = 0;

	add(C_RUNS, 1);
	if (!s || identify(&s->rec, &flags) || flags & PF_KTHREAD)
		return 0;
	notify(kind, s->rec.tgid, image_of(&s->rec), 0, 0);
	return 0;
}

/* The mappings of the program and its interpreter are there by now. */
SEC("tp_btf/sched_process_exec")
int BPF_PROG(aperture_exec)
{
	return tell(NOTICE_EXEC);
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(aperture_exit, struct task_struct *task)
{
	/* Threads come and go; the process ends with its leader as a rule. */
	if (BPF_CORE_READ(task, pid) != BPF_CORE_READ(task, tgid))
		return 0;
	return tell(NOTICE_EXIT);
}
