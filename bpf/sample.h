/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-3-Clause) */
#pragma once

/* What all profiles share: who is running, how a stack is identified and sent.
 * A stack is known by a 64-bit hash of everything that tells samples apart; it
 * travels to user space only when it is new. */

#include "core.h"

#define MAX_FRAMES 127 /* kernel.perf_event_max_stack */
#define COMM_LEN 16

/* Set by the loader before the programs are verified. */
const volatile __u32 skip_tgid = 0; /* process to leave out, 0 for none */
const volatile __u64 pidns_dev = 0; /* pid namespace to see the host from, */
const volatile __u64 pidns_ino = 0; /* 0 for the initial one */
const volatile __u32 targeted = 0;  /* only processes marked as targets */
const volatile __u32 wakeup_bytes = 2 << 20;

/* Counters of one object, in the order of Counter in stats.go. Every way to
 * lose or shorten a sample has one. C_RUNS is the sum of the counters up to
 * C_SAMPLES. */
enum counter {
	C_RUNS,          /* events that reached the program */
	C_IDLE,          /* of them in the idle task */
	C_SKIPPED,       /* of them in the process to leave out */
	C_FILTERED,      /* of them in processes that are no targets */
	C_FOREIGN_PIDNS, /* of them in a process this pid namespace cannot see */
	C_BELOW,         /* of them below the threshold of the profile */
	C_FOREIGN_ABI,   /* of them system calls by the numbers of another architecture */
	C_NESTED,        /* lost: the program interrupted itself */
	C_HASH_FULL,     /* lost: no room in the counts map */
	C_NO_STORAGE,    /* lost: no memory for the state of a thread */
	C_NO_WORK,       /* lost: the user stack could not be scheduled */
	C_SAMPLES,       /* counted */
	C_KTHREAD,       /* of them in kernel threads */
	C_STACKLESS,     /* of them without a stack, as they were short */
	C_KERNEL_ERROR,  /* counted without their kernel frames */
	C_KERNEL_TRUNCATED,
	C_STACKS,       /* new stacks sent */
	C_RING_FULL,    /* tries to send a new stack that found no room */
	C_NOTICES_LOST, /* notices that found no room */
	C_RUN_NS,       /* time spent in the program */
	C_FRAMES,       /* user frames of all samples */
	/* How unwinding of user stacks ended: one for each sample that has one,
	 * in the order of enum unwind_end. */
	C_END,
	C_COUNTERS = C_END + 12,
};

struct counters {
	__u64 n[C_COUNTERS];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct counters);
} stats SEC(".maps");

static __always_inline void add(__u32 i, __u64 n)
{
	__u32 zero = 0;
	struct counters *c = bpf_map_lookup_elem(&stats, &zero);

	if (!c || i >= C_COUNTERS)
		return;
#ifdef PREEMPTIBLE /* parts of the object are */
	__sync_fetch_and_add(&c->n[i], n);
#else
	c->n[i] += n;
#endif
}

/* The maps from here on are shared by all objects (see sharedMaps in host.go). */

/* Not 0 on a processor while one of our programs writes to maps or rings there,
 * and so may hold their locks. Contention for these runs the program for kernel
 * locks with the lock held: it must not take the lock once more. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} writing SEC(".maps");

static __always_inline __u32 *begin_writing(void)
{
	__u32 zero = 0, *w = bpf_map_lookup_elem(&writing, &zero);

	if (w)
		__sync_fetch_and_add(w, 1);
	return w;
}

static __always_inline void end_writing(__u32 *w)
{
	if (w)
		__sync_fetch_and_add(w, -1);
}

static __always_inline int is_writing(void)
{
	__u32 zero = 0, *w = bpf_map_lookup_elem(&writing, &zero);

	return w && *w;
}

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

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4 << 20);
} stacks SEC(".maps");

enum notice_kind {
	NOTICE_EXEC,            /* the process runs another program */
	NOTICE_EXIT,            /* the last thread ended */
	NOTICE_UNKNOWN_PROCESS, /* a sample of a process without mappings */
	NOTICE_UNKNOWN_MAPPING, /* an address in none of its mappings */
	NOTICE_WANT_TABLE,      /* an executable whose table was not asked for yet */
};

/* What user space has to do something about, at once; see Notice. */
struct notice {
	__u64 image;
	__u64 addr;
	__u32 tgid;
	__u16 executable;
	__u16 kind;
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 256 << 10);
} notices SEC(".maps");

/* 0 if user space will hear of it. */
static __always_inline int notify(__u16 kind, __u32 tgid, __u64 image, __u64 addr, __u16 executable)
{
	struct notice n = {.image = image, .addr = addr, .tgid = tgid, .executable = executable, .kind = kind};
	__u32 *w = begin_writing();
	int err = bpf_ringbuf_output(&notices, &n, sizeof(n), BPF_RB_FORCE_WAKEUP);

	if (err)
		add(C_NOTICES_LOST, 1);
	end_writing(w);
	return err;
}

enum status {
	ST_KERNEL_ERROR = 1,
	ST_KERNEL_TRUNCATED = 2,
	ST_KTHREAD = 4,
};

/* A new stack, as stack.go reads it: kernel frames, then user frames, each
 * leaf first. A user frame is an address in bits 0 to 47, the executable it is
 * relative to in bits 48 to 62 (0: an address of the process), and in bit 63
 * that it is exact: not a return address. */
struct stack_record {
	__u64 hash;
	__u64 start_time; /* of the process, ns since boot */
	__u64 cgroup_id;
	__u64 object; /* lock address, system call number, wait state */
	__u32 tgid;
	__u32 tid;
	char comm[COMM_LEN];
	__u16 kernel_frames;
	__u16 user_frames;
	__u16 status;
	__u16 exec_id; /* of the process: grows with every exec */
	__u8 profile;
	__u8 end;     /* enum unwind_end */
	__u16 detail; /* lock operation or flags, error and bucket of a call */
	__u32 pad;
	__u64 frames[2 * MAX_FRAMES + 2]; /* 2 more: see the masks below */
};

enum profile {
	PROFILE_CPU,
	PROFILE_OFF_CPU,
	PROFILE_LOCK,
	PROFILE_SYSCALL,
};

/* Identifies the program that a process runs, as Image in stack.go. */
static __always_inline __u64 image_of(struct stack_record *r)
{
	return r->start_time + r->exec_id;
}

static __always_inline __u64 mix(__u64 h, __u64 v)
{
	h = (h ^ v) * 0x9e3779b97f4a7c15ULL;
	return h ^ (h >> 32);
}

/* Mixes in the first n frames of a record. */
static __always_inline __u64 mix_frames(__u64 h, struct stack_record *r, __u32 n)
{
#pragma clang loop unroll(disable)
	for (__u32 i = 0; i < 2 * MAX_FRAMES; i++) {
		if (i >= n)
			break;
		h = mix(h, r->frames[i]);
	}
	return h;
}

static __always_inline __u64 hash_record(struct stack_record *r)
{
	__u64 *comm = (__u64 *)r->comm;
	__u64 h = mix(r->start_time, (__u64)r->tgid << 32 | r->kernel_frames << 16 | r->user_frames);

	h = mix(h, r->cgroup_id ^ (__u64)r->exec_id << 48);
	h = mix(h, r->object);
	h = mix(h, (__u64)r->profile << 32 | (__u64)r->end << 16 | r->detail);
	h = mix(h, comm[0]);
	h = mix(h, comm[1]);
	h = mix_frames(h, r, r->kernel_frames + r->user_frames);
	/* Multiplication only carries upwards: bring the high bits down. */
	h ^= h >> 29;
	h *= 0xbf58476d1ce4e5b9ULL;
	return h ^ (h >> 32);
}

/* Fills in who is running; 0 if the sample is to be taken. The thread must not
 * be a kernel thread of interest only: *flags tells. */
static __always_inline int identify(struct stack_record *r, __u32 *flags)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task_btf(), *leader;

	r->tgid = task->tgid;
	r->tid = task->pid;
	if (!r->tid) {
		add(C_IDLE, 1);
		return -1;
	}
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
	leader = task->group_leader;
	r->start_time = leader->start_boottime;
	r->exec_id = leader->self_exec_id;
	*flags = task->flags;
	r->cgroup_id = bpf_get_current_cgroup_id();
	bpf_get_current_comm(r->comm, sizeof(r->comm));
	return 0;
}

/* Takes the kernel stack of the running code. */
static __always_inline void take_kernel_stack(void *ctx, struct stack_record *r)
{
	long n = bpf_get_stack(ctx, r->frames, MAX_FRAMES * 8, 0);

	if (n > 0) {
		/* The mask only tells the verifier what is known anyway. */
		r->kernel_frames = ((__u64)n / 8) & 127;
		if (r->kernel_frames == MAX_FRAMES) {
			r->status |= ST_KERNEL_TRUNCATED;
			add(C_KERNEL_TRUNCATED, 1);
		}
	} else if (n < 0 && n != -14) { /* -EFAULT: it was in user mode */
		r->status |= ST_KERNEL_ERROR;
		add(C_KERNEL_ERROR, 1);
	}
}

/* Sends the stack unless user space has it; 0 if it has it now. */
static __always_inline int send_stack(struct stack_record *r)
{
	__u32 zero = 0, *gen = bpf_map_lookup_elem(&generation, &zero), *had;
	__u64 n, wake = BPF_RB_NO_WAKEUP;

	if (!gen)
		return -1;
	had = bpf_map_lookup_elem(&seen, &r->hash);
	if (had && *had == *gen)
		return 0;
	if (bpf_ringbuf_query(&stacks, BPF_RB_AVAIL_DATA) > wakeup_bytes)
		wake = BPF_RB_FORCE_WAKEUP;

	n = (r->kernel_frames + r->user_frames) & 255;
	n = __builtin_offsetof(struct stack_record, frames) + n * 8;
	if (bpf_ringbuf_output(&stacks, r, n, wake)) {
		add(C_RING_FULL, 1);
		return -1;
	}
	add(C_STACKS, 1);
	bpf_map_update_elem(&seen, &r->hash, gen, BPF_ANY);
	return 0;
}
