/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-3-Clause) */
#pragma once

/* Unwinding of user stacks by the tables of package internal/unwind, which also
 * has a model of the lookup below. */

#include "tables.h"

static __always_inline struct mapping *search_mappings(struct process *p, __u64 pc)
{
	__u32 lo = 0, hi = p->count;

	if (hi > MAX_MAPPINGS)
		hi = MAX_MAPPINGS;
#pragma clang loop unroll(disable)
	for (int i = 0; i < 7; i++) { /* 2^7 > MAX_MAPPINGS */
		__u32 mid = (lo + hi) >> 1;

		if (lo >= hi || mid >= MAX_MAPPINGS)
			break;
		if (pc < p->mappings[mid].start)
			hi = mid;
		else
			lo = mid + 1;
	}
	if (lo == 0 || lo > MAX_MAPPINGS)
		return 0;
	if (pc >= p->mappings[lo - 1].end)
		return 0;
	return &p->mappings[lo - 1];
}

/* Makes u->mapping and u->executable those of pc; 0 if there are any. */
static __always_inline int enter_mapping(struct unwind_state *u, __u64 pc)
{
	struct process_key key = {.tgid = u->tgid};
	struct process *p = 0;
	struct mapping *m;
	struct executable *x;

#pragma clang loop unroll(disable)
	for (__u32 i = 0; i < MAX_PARTS; i++) {
		key.part = i;
		p = bpf_map_lookup_elem(&processes, &key);
		if (!p || p->image != u->image)
			return -1;
		if (!p->next || pc < p->next)
			break;
	}
	m = p ? search_mappings(p, pc) : 0;
	if (!m)
		return -1;
	u->mapping = *m;
	u->executable.state = EXEC_FRAME_POINTERS;
	if (!m->executable)
		return 0;
	x = bpf_map_lookup_elem(&executables, &m->executable);
	if (!x)
		return 0;
	u->executable = *x;
	if (x->state == EXEC_UNKNOWN) {
		x->state = EXEC_REQUESTED;
		if (notify(NOTICE_WANT_TABLE, u->tgid, u->image, pc, m->executable))
			x->state = EXEC_UNKNOWN; /* the next sample asks again */
	}
	return 0;
}

/* Reports an address that is in no mapping, not more often than is of use. */
static __always_inline void miss_mapping(struct unwind_state *u, __u64 pc)
{
	struct process_key key = {.tgid = u->tgid};
	struct process *p = bpf_map_lookup_elem(&processes, &key);
	__u64 now = bpf_ktime_get_ns();

	if (!p || p->image != u->image || now - p->missed < 5000000)
		return;
	p->missed = now;
	notify(NOTICE_UNKNOWN_MAPPING, u->tgid, u->image, pc, 0);
}

static __always_inline struct unwind_rule *find_rule(struct unwind_state *u, __u64 addr)
{
	__u64 page = (addr >> 16) - u->executable.first_page;
	__u32 index, zero = 0, lo, hi;
	struct page_entry *e;
	struct chunk *c;
	void *map;

	if (page >= u->executable.page_count)
		return 0;
	index = u->executable.page_base + page;
	e = bpf_map_lookup_elem(&pages, &index);
	if (!e || !e->count)
		return 0;
	index = e->chunk;
	map = bpf_map_lookup_elem(&chunks, &index);
	if (!map)
		return 0;
	c = bpf_map_lookup_elem(map, &zero);
	if (!c)
		return 0;
	lo = e->first;
	hi = lo + e->count; /* row[lo] is at offset 0 of the page */
#pragma clang loop unroll(disable)
	for (int i = 0; i < 17; i++) {
		__u32 mid = (lo + hi) >> 1;

		if (hi - lo <= 1 || mid >= CHUNK_ROWS)
			break;
		if ((__u16)c->row[mid] <= (__u16)addr)
			lo = mid;
		else
			hi = mid;
	}
	if (lo >= CHUNK_ROWS)
		return 0;
	index = c->row[lo] >> 16;
	return bpf_map_lookup_elem(&rules, &index);
}

#if defined(__TARGET_ARCH_arm64)
/* Return addresses may carry an authentication code above the address. */
#define RETURN_ADDRESS(a) ((a) & 0x0000ffffffffffffULL)
/* rt_sigframe: siginfo (128), then ucontext, whose mcontext is 176 further on;
 * behind the fault address are x0 to x30, sp and pc. */
#define SIGNAL_REGS (128 + 176 + 8)
#define SIGNAL_FP (SIGNAL_REGS + 29 * 8)
#else
#define RETURN_ADDRESS(a) (a)
/* The stack pointer is at ucontext: flags, link and stack (40), then r8 to r15,
 * di, si, bp, bx, dx, ax, cx, sp, ip. */
#define SIGNAL_FP (40 + 10 * 8)
#endif

#define SMALLEST_PAGE 4096
#define NO_WINDOW 1 /* is not aligned: no address is at its beginning */

/* Reads size bytes of the user stack, 8 or 16; 0 if it could. A call to read user
 * memory takes much longer than to copy a few frames more, which the next steps
 * will want. Pages that are not wanted yet are not read: they may not be there. */
static __always_inline int read_stack(struct scratch *s, __u64 addr, __u64 *words, __u32 size)
{
	struct unwind_state *u = &s->unwind;
	__u64 at = addr - u->window_at, n;

	if (addr & 7)
		return bpf_probe_read_user(words, size, (void *)addr);
	if (at > u->window_last) {
		n = SMALLEST_PAGE - (addr & (SMALLEST_PAGE - 1));
		if (n < 16)
			return bpf_probe_read_user(words, size, (void *)addr);
		if (n > WINDOW)
			n = WINDOW;
		u->window_at = NO_WINDOW;
		u->window_last = 0;
		if (bpf_probe_read_user(s->window, n, (void *)addr))
			return -1;
		u->window_at = addr;
		u->window_last = n - 16;
		at = 0;
	}
	at = at / 8 & (WINDOW / 8 - 1);
	words[0] = s->window[at];
	if (size == 16)
		words[1] = s->window[(at + 1) & (WINDOW / 8 - 1)];
	return 0;
}

/* Follows the frame pointer; 0 to go on. Both architectures keep the caller's
 * frame pointer and the return address in that order where it points. */
static __always_inline int follow_fp(struct scratch *s)
{
	struct unwind_state *u = &s->unwind;
	__u64 pair[2];

	if (!u->fp) {
		u->end = END_COMPLETE;
		return 1;
	}
	if (u->fp & 7 || read_stack(s, u->fp, pair, sizeof(pair))) {
		u->end = END_FP_CHAIN;
		return 1;
	}
	u->sp = u->fp + 16;
	if (pair[0] && pair[0] <= u->fp) {
		/* A chain that turns back is at its end or broken; goroutines that
		 * switch stacks keep growing, but stacks are anywhere. */
		__u64 back = u->fp - pair[0];

		if (back < 1 << 20) {
			u->end = END_FP_CHAIN;
			return 1;
		}
	}
	u->fp = pair[0];
	u->pc = RETURN_ADDRESS(pair[1]);
	u->exact = 0;
	u->leaf = 0;
	if (!u->pc) {
		u->end = END_COMPLETE;
		return 1;
	}
	return 0;
}

static __always_inline int leave_signal(struct unwind_state *u)
{
#if defined(__TARGET_ARCH_arm64)
	__u64 regs[4]; /* x29, x30, sp, pc */

	if (bpf_probe_read_user(regs, sizeof(regs), (void *)(u->sp + SIGNAL_FP)))
		return -1;
	u->fp = regs[0];
	u->lr = regs[1];
	u->sp = regs[2];
	u->pc = regs[3];
#else
	__u64 regs[7]; /* bp, bx, dx, ax, cx, sp, ip */

	if (bpf_probe_read_user(regs, sizeof(regs), (void *)(u->sp + SIGNAL_FP)))
		return -1;
	u->fp = regs[0];
	u->sp = regs[5];
	u->pc = regs[6];
#endif
	u->regs = 0; /* the registers of user mode are not those of this frame */
	u->exact = 1;
	u->leaf = 1;
	return 0;
}

#if defined(__TARGET_ARCH_x86)
/* Where pt_regs has registers 0 to 7 and 8 to 15 of DWARF, in words, one byte
 * each from the lowest on: ax, dx, cx, bx, si, di, bp, sp; r8 to r15. */
#define REGISTER_WORDS_LOW 0x13040e0d050b0c0aULL
#define REGISTER_WORDS_HIGH 0x0001020306070809ULL

/* Reads a register by its number in DWARF, as the interrupted code had it. */
static __always_inline int read_register(struct unwind_state *u, __u32 reg, __u64 *v)
{
	__u64 words = reg & 8 ? REGISTER_WORDS_HIGH : REGISTER_WORDS_LOW;

	if (!u->leaf || !u->regs)
		return -1;
	return bpf_probe_read_kernel(v, 8, (void *)(u->regs + 8 * (words >> 8 * (reg & 7) & 0xff)));
}
#else
static __always_inline int read_register(struct unwind_state *u, __u32 reg, __u64 *v)
{
	if (!u->leaf || !u->regs)
		return -1;
	return bpf_probe_read_kernel(v, 8, (void *)(u->regs + 8 * (reg & 31)));
}
#endif

/* Computes the canonical frame address; 0 if it could. */
static __always_inline int frame_address(struct unwind_state *u, struct unwind_rule *r, __u64 *cfa)
{
	switch (r->kind) {
	case RULE_SP:
	case RULE_GO_SP:
		*cfa = u->sp + r->cfa_off;
		return 0;
	case RULE_FP:
		*cfa = u->fp + r->cfa_off;
		return 0;
	case RULE_PLT:
		*cfa = u->sp + 8 + ((u->pc & 15) >= r->reg ? 8 : 0);
		return 0;
	case RULE_DEREF_SP:
	case RULE_DEREF_FP:
		if (bpf_probe_read_user(cfa, 8, (void *)((r->kind == RULE_DEREF_SP ? u->sp : u->fp) + r->cfa_off))) {
			u->end = END_READ;
			return -1;
		}
		*cfa += r->ra_off;
		return 0;
	case RULE_REG:
		if (read_register(u, r->reg, cfa)) {
			u->end = END_UNSUPPORTED;
			return -1;
		}
		*cfa += r->cfa_off;
		return 0;
	}
	u->end = r->kind == RULE_NONE ? END_NO_ROW : END_UNSUPPORTED;
	return -1;
}

/* Goes to the caller by a rule; 0 to go on. */
static __always_inline int follow_rule(struct scratch *s, struct unwind_rule *r)
{
	struct unwind_state *u = &s->unwind;
	__u64 cfa, pair[2], ra, fp = u->fp;
	__s64 ra_off = -8;

	if (frame_address(u, r, &cfa))
		return 1;
	/* Only a leaf frame can be empty (arm64: its return address is in lr). */
	if (cfa < u->sp || (cfa == u->sp && !u->leaf)) {
		u->end = END_STUCK;
		return 1;
	}
#if defined(__TARGET_ARCH_arm64)
	if (r->kind != RULE_DEREF_SP && r->kind != RULE_DEREF_FP)
		ra_off = r->ra_off;
	if (r->reg == 1 && r->kind != RULE_REG) { /* still in the link register */
		if (!u->leaf || !u->lr) {
			u->end = END_UNSUPPORTED;
			return 1;
		}
		ra = u->lr;
		goto have_ra;
	}
#endif
	if (r->fp == FP_CFA && r->fp_off == ra_off - 8) { /* one read for both */
		if (read_stack(s, cfa + ra_off - 8, pair, sizeof(pair)))
			goto unreadable;
		u->fp = pair[0];
		ra = pair[1];
		goto move;
	}
	/* It is below the return address: the window begins there. */
	if (r->fp == FP_CFA && read_stack(s, cfa + r->fp_off, &fp, 8))
		goto unreadable;
	if (read_stack(s, cfa + ra_off, &ra, 8))
		goto unreadable;
#if defined(__TARGET_ARCH_arm64)
have_ra:
	if (r->fp == FP_CFA && r->reg == 1 && read_stack(s, cfa + r->fp_off, &fp, 8))
		goto unreadable;
#endif
	if (r->fp == FP_FP) {
		if (bpf_probe_read_user(&fp, 8, (void *)(u->fp + r->fp_off)))
			goto unreadable;
	} else if (r->fp == FP_UNDEFINED) {
		fp = 1; /* nothing that can be followed, nor the end of a chain */
	}
	u->fp = fp;
move:
	u->sp = cfa;
	u->pc = RETURN_ADDRESS(ra);
	u->lr = 0;
	u->exact = 0;
	u->leaf = 0;
	if (!u->pc) {
		u->end = END_COMPLETE;
		return 1;
	}
	return 0;
unreadable:
	u->end = END_READ;
	return 1;
}

#define ADDRESS_BITS 0x0000ffffffffffffULL

/* One frame: notes where it is and goes to its caller; 0 to go on. As a global
 * function it is verified once and not for each call: so the walk can be a plain
 * loop. bpf_loop would call it through a pointer, which takes long where such
 * calls are guarded (retpolines). */
__noinline int unwind_step(struct scratch *s)
{
	struct unwind_state *u;
	struct unwind_rule *rule;
	__u64 pc, frame;

	if (!s)
		return 1;
	u = &s->unwind;
	pc = u->exact ? u->pc : u->pc - 1;
	if (u->known && (pc < u->mapping.start || pc >= u->mapping.end)) {
		if (enter_mapping(u, pc)) {
			miss_mapping(u, pc);
			u->end = END_NO_MAPPING;
			/* What a guess led to is no frame; a rule is no guess. */
			if (u->frames && u->executable.state == EXEC_FRAME_POINTERS)
				return 1;
			u->mapping.executable = 0;
			u->mapping.bias = 0;
			u->mapping.end = 0;
		}
	}
	frame = (u->mapping.executable ? u->pc - u->mapping.bias : u->pc) & ADDRESS_BITS;
	frame |= (__u64)(u->mapping.executable & (MAX_EXECUTABLES - 1)) << 48 | (__u64)u->exact << 63;
	s->rec.frames[(u->base + u->frames) & 255] = frame;
	u->frames++;
	if (u->end == END_NO_MAPPING)
		return 1;

	switch (u->executable.state) {
	case EXEC_TABLE:
		rule = find_rule(u, pc - u->mapping.bias);
		break;
	case EXEC_FRAME_POINTERS:
		return follow_fp(s);
	default:
		u->end = END_NO_TABLE; /* the walk goes on, but cannot be trusted */
		return follow_fp(s);
	}
	if (!rule) {
		u->end = END_NO_ROW;
		return 1;
	}
	if (rule->kind == RULE_FP_CHAIN || (rule->kind == RULE_GO_SP && !u->leaf))
		return follow_fp(s);
	if (rule->kind == RULE_END) {
		u->end = END_COMPLETE;
		return 1;
	}
	if (rule->kind == RULE_SIGNAL) {
		if (!leave_signal(u))
			return 0;
		u->end = END_READ;
		return 1;
	}
	return follow_rule(s, rule);
}

/* All frames. This is a global function so that what follows it is verified once
 * and not for each round that may be the last. */
__noinline int unwind_steps(struct scratch *s)
{
	if (!s)
		return 0;
#pragma clang loop unroll(disable)
	for (int i = 0; i < MAX_FRAMES; i++) {
		if (unwind_step(s))
			break;
	}
	return 0;
}

/* Begins an unwinding of the current task's user stack into s->rec, behind the
 * kernel frames that are there. */
static __always_inline void unwind_begin(struct scratch *s)
{
	struct unwind_state *u = &s->unwind;
	struct process_key key = {.tgid = s->rec.tgid};
	struct pt_regs *regs = (struct pt_regs *)bpf_task_pt_regs((struct task_struct *)bpf_get_current_task_btf());
	struct process *p;

#if defined(__TARGET_ARCH_arm64)
	u->pc = regs->pc;
	u->sp = regs->sp;
	u->fp = regs->regs[29];
	u->lr = RETURN_ADDRESS(regs->regs[30]);
#else
	u->pc = regs->ip;
	u->sp = regs->sp;
	u->fp = regs->bp;
	u->lr = 0;
#endif
	u->regs = (__u64)regs;
	u->tgid = s->rec.tgid;
	u->image = image_of(&s->rec);
	u->base = s->rec.kernel_frames;
	u->frames = 0;
	u->exact = 1;
	u->leaf = 1;
	u->end = END_TRUNCATED;
	u->window_at = NO_WINDOW;
	u->window_last = 0;
	u->mapping.start = 0;
	u->mapping.end = 0;
	u->mapping.bias = 0;
	u->mapping.executable = 0;
	u->executable.state = EXEC_FRAME_POINTERS;

	p = bpf_map_lookup_elem(&processes, &key);
	u->known = p && p->image == u->image;
	if (!u->known) {
		u->end = END_NO_PROCESS;
		u->mapping.end = ~0ULL;
	}
}

/* Completes what the loop did. */
static __always_inline void unwind_finish(struct scratch *s)
{
	struct unwind_state *u = &s->unwind;

	if (!u->known)
		u->end = END_NO_PROCESS;
	s->rec.user_frames = u->frames & 127;
	s->rec.end = u->end;
	add(C_FRAMES, u->frames);
	if (u->end < END_NONE)
		add(C_END + u->end, 1);
}

/* Takes the user stack of the current task. */
static __always_inline void take_user_stack(struct scratch *s)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task_btf();

	/* A thread without memory runs on that of any other process. */
	if (!task->mm) {
		s->rec.user_frames = 0;
		s->rec.end = END_NONE;
		return;
	}
	unwind_begin(s);
	unwind_steps(s);
	unwind_finish(s);
}

/* Says that a process was seen whose mappings are not known, once. */
static __always_inline void announce(struct stack_record *r)
{
	__u64 image = image_of(r), *had = bpf_map_lookup_elem(&announced, &r->tgid);
	__u32 *w;
	long err;

	if (had && *had == image)
		return;
	w = begin_writing();
	err = bpf_map_update_elem(&announced, &r->tgid, &image, BPF_ANY);
	end_writing(w);
	if (err)
		return;
	if (notify(NOTICE_UNKNOWN_PROCESS, r->tgid, image, 0, 0)) {
		w = begin_writing();
		bpf_map_delete_elem(&announced, &r->tgid); /* the next sample says so again */
		end_writing(w);
	}
}

/* Whether the process is to be profiled; announces it if it is not known. */
static __always_inline int is_target(struct stack_record *r)
{
	struct process_key key = {.tgid = r->tgid};
	struct process *p = bpf_map_lookup_elem(&processes, &key);

	if (!p || p->image != image_of(r)) {
		announce(r);
		return !targeted;
	}
	return !targeted || p->target;
}
