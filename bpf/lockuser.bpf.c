//go:build ignore

// SPDX-License-Identifier: (GPL-2.0-only OR BSD-3-Clause)

/* User locks: what threads wait for in futex system calls. Locks of all
 * languages end there when they have to wait.
 *
 * The programs for the tracepoints of these system calls are preferred: others
 * pay for a look at a bitmap only. Those for the tracepoints of all system calls
 * do not need tracefs. */

#include "lock.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#if defined(__TARGET_ARCH_x86)
#define NR_FUTEX 202
#else
#define NR_FUTEX 98
#endif
#define NR_FUTEX_WAITV 449 /* since 5.16 */
#define NR_FUTEX_WAIT 455  /* since 6.7 */

/* linux/futex.h */
#define FUTEX_WAIT 0
#define FUTEX_LOCK_PI 6
#define FUTEX_WAIT_BITSET 9
#define FUTEX_WAIT_REQUEUE_PI 11
#define FUTEX_LOCK_PI2 13
#define FUTEX_PRIVATE_FLAG 128
#define FUTEX_CLOCK_REALTIME 256
#define FUTEX_CMD_MASK 0x7f

struct futex_waitv {
	__u64 val;
	__u64 uaddr;
	__u32 flags;
	__u32 reserved;
};

/* Errors of system calls; those from 512 on are of the kernel alone and mean
 * that a signal came. */
#define EINTR 4
#define EAGAIN 11
#define ETIMEDOUT 110
#define ERESTARTSYS 512
#define ERESTART_RESTARTBLOCK 516

/* As LockOp in lock.go. */
enum lock_op {
	OP_WAIT,
	OP_WAIT_BITSET,
	OP_LOCK_PI,
	OP_WAIT_REQUEUE_PI,
	OP_WAITV,
	OP_FUTEX_WAIT,
};

struct wait {
	__u64 since; /* 0: does not wait */
	__u64 lock;
	__u64 detail;
};

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct wait);
} waits SEC(".maps");

static __always_inline int begin(__u64 lock, __u64 detail)
{
	struct wait *w = bpf_task_storage_get(&waits, bpf_get_current_task_btf(), 0, BPF_LOCAL_STORAGE_GET_F_CREATE);

	if (!w) {
		add(C_RUNS, 1);
		add(C_NO_STORAGE, 1);
		return 0;
	}
	w->lock = lock;
	w->detail = detail;
	w->since = bpf_ktime_get_ns();
	return 0;
}

static __always_inline int begin_futex(__u64 lock, __u64 op)
{
	__u64 detail = (op & FUTEX_PRIVATE_FLAG ? 0 : LOCK_SHARED) | (op & FUTEX_CLOCK_REALTIME ? LOCK_REALTIME : 0);

	switch (op & FUTEX_CMD_MASK) {
	case FUTEX_WAIT:
		return begin(lock, detail | OP_WAIT);
	case FUTEX_WAIT_BITSET:
		return begin(lock, detail | OP_WAIT_BITSET);
	case FUTEX_LOCK_PI:
	case FUTEX_LOCK_PI2:
		return begin(lock, detail | OP_LOCK_PI);
	case FUTEX_WAIT_REQUEUE_PI:
		return begin(lock, detail | OP_WAIT_REQUEUE_PI);
	}
	return 0; /* wakes somebody */
}

/* The first of several futexes stands for all. */
static __always_inline int begin_waitv(__u64 waiters)
{
	__u64 lock = 0;

	bpf_probe_read_user(&lock, sizeof(lock), (void *)(waiters + __builtin_offsetof(struct futex_waitv, uaddr)));
	return begin(lock, OP_WAITV);
}

/* Whether a call waited at all. A lock that was free by then, and a signal that
 * was there already, end it at once, but a call that took long was long. */
static __always_inline int has_waited(long ret, __u64 duration)
{
	if (ret >= 0 || ret == -ETIMEDOUT)
		return 1;
	if (ret == -EAGAIN || ret == -EINTR || (ret <= -ERESTARTSYS && ret >= -ERESTART_RESTARTBLOCK))
		return duration >= min_duration;
	return 0; /* EFAULT, EINVAL, ENOSYS, EPERM, EDEADLK, ... */
}

static __always_inline int end(long ret)
{
	struct wait *w = bpf_task_storage_get(&waits, bpf_get_current_task_btf(), 0, 0);
	__u64 now, duration;
	__u16 detail;

	if (!w || !w->since)
		return 0;
	now = bpf_ktime_get_ns();
	duration = now - w->since;
	w->since = 0;
	add(C_RUNS, 1);
	if (!has_waited(ret, duration)) {
		add(C_BELOW, 1);
		return 0;
	}
	detail = w->detail;
	if (ret == -ETIMEDOUT)
		detail |= LOCK_TIMED_OUT;
	end_wait(0, w->lock, detail, now, duration, duration >= min_duration);
	return 0;
}

/* What tracepoints of system calls give (struct syscall_tp_t in
 * kernel/trace/trace_syscalls.c). */
struct enter_context {
	__u64 pad;
	__u64 nr;
	__u64 args[6];
};

struct exit_context {
	__u64 pad;
	__u64 nr;
	long ret;
};

SEC("tracepoint/syscalls/sys_enter_futex")
int aperture_enter_futex(struct enter_context *ctx)
{
	return begin_futex(ctx->args[0], ctx->args[1]);
}

SEC("tracepoint/syscalls/sys_enter_futex_waitv")
int aperture_enter_waitv(struct enter_context *ctx)
{
	return begin_waitv(ctx->args[0]);
}

SEC("tracepoint/syscalls/sys_enter_futex_wait")
int aperture_enter_wait(struct enter_context *ctx)
{
	return begin(ctx->args[0], OP_FUTEX_WAIT);
}

/* For the exit of all of them. */
SEC("tracepoint/syscalls/sys_exit_futex")
int aperture_exit_futex(struct exit_context *ctx)
{
	return end(ctx->ret);
}

/* 32-bit processes have other numbers. */
#if defined(__TARGET_ARCH_x86)
struct thread_info___x86 {
	__u32 status;
} CORE;

struct task_struct___x86 {
	struct thread_info___x86 thread_info;
} CORE;

#define TS_COMPAT 2

static __always_inline int is_compat(void)
{
	struct task_struct___x86 *task = (void *)bpf_get_current_task();

	return BPF_CORE_READ(task, thread_info.status) & TS_COMPAT;
}

#define SYSCALL_NR(regs) ((long)(regs)->orig_ax)
#define SYSCALL_ARG0(regs) ((regs)->di)
#define SYSCALL_ARG1(regs) ((regs)->si)
#else
struct thread_info___arm64 {
	unsigned long flags;
} CORE;

struct task_struct___arm64 {
	struct thread_info___arm64 thread_info;
} CORE;

#define TIF_32BIT 22

static __always_inline int is_compat(void)
{
	struct task_struct___arm64 *task = (void *)bpf_get_current_task();

	return BPF_CORE_READ(task, thread_info.flags) >> TIF_32BIT & 1;
}

#define SYSCALL_NR(regs) ((long)(regs)->syscallno)
#define SYSCALL_ARG0(regs) ((regs)->regs[0])
#define SYSCALL_ARG1(regs) ((regs)->regs[1])
#endif

SEC("tp_btf/sys_enter")
int BPF_PROG(aperture_sys_enter, struct pt_regs *regs, long nr)
{
	if (nr != NR_FUTEX && nr != NR_FUTEX_WAITV && nr != NR_FUTEX_WAIT)
		return 0;
	if (is_compat())
		return 0;
	if (nr == NR_FUTEX)
		return begin_futex(SYSCALL_ARG0(regs), SYSCALL_ARG1(regs));
	if (nr == NR_FUTEX_WAITV)
		return begin_waitv(SYSCALL_ARG0(regs));
	return begin(SYSCALL_ARG0(regs), OP_FUTEX_WAIT);
}

SEC("tp_btf/sys_exit")
int BPF_PROG(aperture_sys_exit, struct pt_regs *regs, long ret)
{
	long nr = SYSCALL_NR(regs);

	if (nr != NR_FUTEX && nr != NR_FUTEX_WAITV && nr != NR_FUTEX_WAIT)
		return 0;
	return end(ret);
}
