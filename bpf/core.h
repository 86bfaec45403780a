/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-3-Clause) */
#pragma once

/* The few kernel types our programs look at. preserve_access_index makes every
 * field access a CO-RE relocation: the loader fills in the offsets of the
 * running kernel from its BTF, so one object fits all kernels and there is no
 * vmlinux.h to regenerate. Only the fields that are read are declared. */

typedef unsigned char __u8;
typedef unsigned short __u16;
typedef unsigned int __u32;
typedef unsigned long long __u64;
typedef signed char __s8;
typedef short __s16;
typedef int __s32;
typedef long long __s64;
typedef __u16 __be16;
typedef __u32 __be32;
typedef __u64 __be64;
typedef __u16 __sum16;
typedef __u32 __wsum;

#define CORE __attribute__((preserve_access_index))

struct task_struct {
	struct task_struct *group_leader;
	void *mm;    /* 0 once an exiting thread let go of its memory */
	void *files; /* 0 once it let go of its files, which is later */
	__u64 start_boottime; /* since 5.5 */
	__u64 self_exec_id;   /* 64 bits since 5.7 */
	unsigned int flags;
	int pid;
	int tgid;
	unsigned int __state; /* since 5.14 */
	char comm[16];
} CORE;

/* The registers of user mode, as the kernel saved them on entry. */
#if defined(__TARGET_ARCH_x86)
struct pt_regs {
	unsigned long r15, r14, r13, r12, bp, bx, r11, r10, r9, r8;
	unsigned long ax, cx, dx, si, di, orig_ax, ip, cs, flags, sp, ss;
} CORE;
#elif defined(__TARGET_ARCH_arm64)
struct pt_regs {
	__u64 regs[31];
	__u64 sp;
	__u64 pc;
	__u64 pstate;
	__u64 orig_x0;
	__s32 syscallno;
} CORE;
#else
#error "set __TARGET_ARCH_x86 or __TARGET_ARCH_arm64"
#endif

/* struct bpf_perf_event_data up to the instruction pointer. It is part of the
 * UAPI and accessed through the context, so nothing is relocated. */
struct perf_event_context {
#if defined(__TARGET_ARCH_x86)
	__u64 before[16];
#else
	__u64 before[32];
#endif
	__u64 ip;
};

/* Result of bpf_get_ns_current_pid_tgid; part of the UAPI, so of fixed layout. */
struct bpf_pidns_info {
	__u32 pid;
	__u32 tgid;
};

enum {
	BPF_MAP_TYPE_HASH = 1,
	BPF_MAP_TYPE_ARRAY = 2,
	BPF_MAP_TYPE_PERCPU_HASH = 5,
	BPF_MAP_TYPE_PERCPU_ARRAY = 6,
	BPF_MAP_TYPE_LRU_HASH = 9,
	BPF_MAP_TYPE_ARRAY_OF_MAPS = 12,
	BPF_MAP_TYPE_RINGBUF = 27,
	BPF_MAP_TYPE_TASK_STORAGE = 29,
};

enum {
	BPF_ANY = 0,
	BPF_NOEXIST = 1,
	BPF_F_NO_PREALLOC = 1,
	BPF_F_MMAPABLE = 1 << 10,
	BPF_F_USER_STACK = 1 << 8,
	BPF_RB_NO_WAKEUP = 1,
	BPF_RB_FORCE_WAKEUP = 2,
	BPF_RB_AVAIL_DATA = 0,
	BPF_LOCAL_STORAGE_GET_F_CREATE = 1,
};

#define PF_KTHREAD 0x00200000

/* Kernel addresses are the upper half on both architectures. */
#define IS_KERNEL(ip) ((ip) >> 63)

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>
