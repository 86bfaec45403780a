//go:build ignore

// SPDX-License-Identifier: (GPL-2.0-only OR BSD-3-Clause)

/* On-CPU sampling: runs on every tick of a per-CPU software clock, takes the
 * kernel and the frame-pointer user stack of what is running, and counts it in
 * a hash map under a 64-bit hash of everything that tells samples apart. A
 * stack itself travels to user space only when it is new. */

#include "core.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define MAX_FRAMES 127 /* kernel.perf_event_max_stack */
#define COMM_LEN 16

/* Set by the loader before the program is verified. */
const volatile __u32 skip_tgid = 0;   /* process to leave out, 0 for none */
const volatile __u64 pidns_dev = 0;   /* pid namespace to see the host from, */
const volatile __u64 pidns_ino = 0;   /* 0 for the initial one */
const volatile __u32 wakeup_bytes = 2 << 20;

/* Counters, in the order of CPUCounter in cpu_stats.go. Every way to lose or
 * shorten a sample has one. */
enum counter {
	C_RUNS,          /* ticks that reached the program */
	C_IDLE,          /* of them in the idle task */
	C_SKIPPED,       /* of them in the process to leave out */
	C_FOREIGN_PIDNS, /* of them in a process this pid namespace cannot see */
	C_NESTED,        /* lost: the program interrupted itself */
	C_HASH_FULL,     /* lost: no room in the counts map */
	C_SAMPLES,       /* counted */
	C_KTHREAD,       /* of them in kernel threads */
	C_KERNEL_ERROR,  /* counted without its kernel frames */
	C_USER_ERROR,    /* counted without its user frames */
	C_KERNEL_TRUNCATED,
	C_USER_TRUNCATED,
	C_STACKS,    /* new stacks sent */
	C_RING_FULL, /* tries to send a new stack that found no room */
	C_RUN_NS,    /* time spent in the program */
	C_COUNTERS,
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, C_COUNTERS);
	__type(key, __u32);
	__type(value, __u64);
} stats SEC(".maps");

static __always_inline void add(__u32 i, __u64 n)
{
	__u64 *v = bpf_map_lookup_elem(&stats, &i);
	if (v)
		*v += n;
}

struct count_value {
	__u64 count;
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

/* Which stacks user space was sent, and in which generation. User space opens
 * a new generation when it forgets stacks. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 65536);
	__type(key, __u64);
	__type(value, __u32);
} seen SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} generation SEC(".maps");

/* Processes that were announced, by start time and exec: the first stack of a
 * process wakes user space at once, which then reads the mappings while the
 * process still exists. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, __u32);
	__type(value, __u64);
} procs SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4 << 20);
} stacks SEC(".maps");

enum status {
	ST_KERNEL_ERROR = 1,
	ST_USER_ERROR = 2,
	ST_KERNEL_TRUNCATED = 4,
	ST_USER_TRUNCATED = 8,
	ST_KTHREAD = 16,
};

/* A new stack, as stack.go reads it: kernel frames, then user frames, each
 * leaf first. */
struct stack_record {
	__u64 hash;
	__u64 start_time; /* of the process, ns since boot */
	__u64 cgroup_id;
	__u32 tgid;
	__u32 tid;
	char comm[COMM_LEN];
	__u16 kernel_frames;
	__u16 user_frames;
	__u16 status;
	__u16 exec_id; /* of the process: grows with every exec */
	__u64 frames[2 * MAX_FRAMES + 2]; /* 2 more: see the masks below */
};

struct scratch {
	__u32 busy;
	__u32 pad;
	struct stack_record rec;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct scratch);
} scratches SEC(".maps");

static __always_inline __u64 mix(__u64 h, __u64 v)
{
	h = (h ^ v) * 0x9e3779b97f4a7c15ULL;
	return h ^ (h >> 32);
}

static __always_inline __u64 hash_record(struct stack_record *r)
{
	__u32 n = r->kernel_frames + r->user_frames;
	__u64 *comm = (__u64 *)r->comm;
	__u64 h = mix(r->start_time, (__u64)r->tgid << 32 | r->kernel_frames << 16 | r->user_frames);

	h = mix(h, r->cgroup_id ^ (__u64)r->exec_id << 48);
	h = mix(h, comm[0]);
	h = mix(h, comm[1]);
#pragma clang loop unroll(disable)
	for (__u32 i = 0; i < 2 * MAX_FRAMES; i++) {
		if (i >= n)
			break;
		h = mix(h, r->frames[i]);
	}
	/* Multiplication only carries upwards: bring the high bits down. */
	h ^= h >> 29;
	h *= 0xbf58476d1ce4e5b9ULL;
	return h ^ (h >> 32);
}

/* Fills in who is running; 0 if the sample is to be taken. */
static __always_inline int identify(struct stack_record *r, __u32 *flags)
{
	__u64 id = bpf_get_current_pid_tgid();
	struct task_struct *task, *leader;

	if ((__u32)id == 0) {
		add(C_IDLE, 1);
		return -1;
	}
	r->tgid = id >> 32;
	r->tid = (__u32)id;
	if (pidns_ino) {
		struct bpf_pidns_info ns = {};

		if (bpf_get_ns_current_pid_tgid(pidns_dev, pidns_ino, &ns, sizeof(ns))) {
			add(C_FOREIGN_PIDNS, 1);
			return -1;
		}
		r->tgid = ns.tgid;
		r->tid = ns.pid;
	}
	if (skip_tgid && r->tgid == skip_tgid) {
		add(C_SKIPPED, 1);
		return -1;
	}
	task = (struct task_struct *)bpf_get_current_task();
	leader = BPF_CORE_READ(task, group_leader);
	r->start_time = BPF_CORE_READ(leader, start_boottime);
	r->exec_id = BPF_CORE_READ(leader, self_exec_id);
	*flags = BPF_CORE_READ(task, flags);
	r->cgroup_id = bpf_get_current_cgroup_id();
	bpf_get_current_comm(r->comm, sizeof(r->comm));
	return 0;
}

/* Takes both stacks into r->frames without a gap. The masks only tell the
 * verifier what is known anyway: at most 127 frames each. */
static __always_inline void take_stacks(void *ctx, struct stack_record *r, __u32 flags)
{
	long n = bpf_get_stack(ctx, r->frames, MAX_FRAMES * 8, 0);
	__u64 kernel = 0, user = 0;

	r->status = 0;
	if (n > 0) {
		kernel = ((__u64)n / 8) & 127;
		if (kernel == MAX_FRAMES) {
			r->status |= ST_KERNEL_TRUNCATED;
			add(C_KERNEL_TRUNCATED, 1);
		}
	} else if (n < 0 && n != -14) { /* -EFAULT: it was in user mode */
		r->status |= ST_KERNEL_ERROR;
		add(C_KERNEL_ERROR, 1);
	}
	if (flags & PF_KTHREAD) {
		r->status |= ST_KTHREAD;
		add(C_KTHREAD, 1);
	} else {
		n = bpf_get_stack(ctx, &r->frames[kernel], MAX_FRAMES * 8, BPF_F_USER_STACK);
		if (n > 0)
			user = ((__u64)n / 8) & 127;
		if (user == MAX_FRAMES) {
			r->status |= ST_USER_TRUNCATED;
			add(C_USER_TRUNCATED, 1);
		} else if (user == 0) {
			r->status |= ST_USER_ERROR;
			add(C_USER_ERROR, 1);
		}
	}
	r->kernel_frames = kernel;
	r->user_frames = user;
}

/* Sends the stack unless user space has it; 0 if it has it now. */
static __always_inline int send_stack(struct stack_record *r)
{
	__u32 zero = 0, *gen = bpf_map_lookup_elem(&generation, &zero), *had;
	__u64 *had_image, image = r->start_time + r->exec_id, n, wake = BPF_RB_NO_WAKEUP;

	if (!gen)
		return -1;
	had = bpf_map_lookup_elem(&seen, &r->hash);
	if (had && *had == *gen)
		return 0;

	had_image = bpf_map_lookup_elem(&procs, &r->tgid);
	if (!had_image || *had_image != image)
		wake = BPF_RB_FORCE_WAKEUP;
	else if (bpf_ringbuf_query(&stacks, BPF_RB_AVAIL_DATA) > wakeup_bytes)
		wake = BPF_RB_FORCE_WAKEUP;

	n = (r->kernel_frames + r->user_frames) & 255;
	n = __builtin_offsetof(struct stack_record, frames) + n * 8;
	if (bpf_ringbuf_output(&stacks, r, n, wake)) {
		add(C_RING_FULL, 1);
		return -1;
	}
	add(C_STACKS, 1);
	bpf_map_update_elem(&seen, &r->hash, gen, BPF_ANY);
	if (!had_image || *had_image != image)
		bpf_map_update_elem(&procs, &r->tgid, &image, BPF_ANY);
	return 0;
}

static __always_inline int count(struct stack_record *r)
{
	__u32 zero = 0;
	struct count_value *v, one = {.count = 1, .unsent = 1};
	void *map = bpf_map_lookup_elem(&counts, &zero);

	if (!map)
		return -1;
	v = bpf_map_lookup_elem(map, &r->hash);
	if (!v) {
		long err = bpf_map_update_elem(map, &r->hash, &one, BPF_NOEXIST);

		v = bpf_map_lookup_elem(map, &r->hash);
		if (!v)
			return -1; /* full */
		if (err) /* another CPU was first */
			__sync_fetch_and_add(&v->count, 1);
	} else {
		__sync_fetch_and_add(&v->count, 1);
	}
	if (v->unsent && !send_stack(r))
		v->unsent = 0;
	return 0;
}

static __always_inline void sample(void *ctx, struct stack_record *r)
{
	__u32 flags = 0;

	if (identify(r, &flags))
		return;
	take_stacks(ctx, r, flags);
	r->hash = hash_record(r);
	if (count(r))
		add(C_HASH_FULL, 1);
	else
		add(C_SAMPLES, 1);
}

SEC("perf_event")
int aperture_cpu(void *ctx)
{
	__u32 zero = 0;
	__u64 start = bpf_ktime_get_ns();
	struct scratch *s = bpf_map_lookup_elem(&scratches, &zero);

	add(C_RUNS, 1);
	if (!s)
		return 0;
	if (s->busy) {
		add(C_NESTED, 1);
		return 0;
	}
	s->busy = 1;
	sample(ctx, &s->rec);
	s->busy = 0;
	add(C_RUN_NS, bpf_ktime_get_ns() - start);
	return 0;
}
