/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-3-Clause) */
#pragma once

/* The unwind tables that package internal/unwind builds from call frame
 * information, the processes they are for, and what unwinding works on.
 *
 * A table maps addresses of an executable to rules. An address is split into
 * the number of its 64 KiB page and 16 bits. A page entry tells where the rows
 * of the page are; a row is 16 bits of address and the 16-bit number of a rule
 * that holds from there on. Rows of many pages share a chunk, a map with a
 * single value, so that the binary search runs inside of one value. */

#include "sample.h"

#define MAX_MAPPINGS 120 /* so that a value is below the 4 KiB of the allocator */
#define MAX_PARTS 8
#define CHUNK_ROWS 65536
#define MAX_EXECUTABLES 32768
#define WINDOW 512 /* bytes of stack that are read at once */

enum unwind_end {
	END_TRUNCATED, /* more than MAX_FRAMES */
	END_COMPLETE,
	END_NO_PROCESS,  /* mappings not known yet: frame pointers */
	END_NO_MAPPING,  /* an address in no mapping */
	END_NO_TABLE,    /* table not built yet: frame pointers */
	END_NO_ROW,      /* an address without call frame information */
	END_UNSUPPORTED, /* a rule that cannot be followed */
	END_READ,        /* the stack could not be read */
	END_STUCK,       /* the stack pointer did not grow */
	END_FP_CHAIN,    /* the chain of frame pointers broke */
	END_NONE,        /* no user stack to unwind (kernel thread) */
};

/* Kinds of rules, as in package internal/unwind. */
enum rule_kind {
	RULE_NONE,
	RULE_SP,
	RULE_FP,
	RULE_DEREF_SP,
	RULE_DEREF_FP,
	RULE_PLT,
	RULE_SIGNAL,
	RULE_END,
	RULE_FP_CHAIN,
	RULE_REG,
	RULE_UNSUPPORTED,
	RULE_GO_SP,
};

enum fp_rule { FP_SAME, FP_CFA, FP_FP, FP_UNDEFINED };

struct unwind_rule {
	__u8 kind;
	__u8 fp;
	__s16 fp_off;
	__s32 cfa_off;
	__s16 ra_off;
	__u16 reg;
	__u32 pad;
};

struct page_entry {
	__u16 chunk;
	__u16 first;
	__u16 count;
	__u16 pad;
};

struct chunk {
	__u32 row[CHUNK_ROWS]; /* low 16 bits of the address, rule << 16 */
};

/* The first chunk; the instance also makes the type complete for the loader. */
struct chunk_map {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct chunk);
} chunk_0 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 1024);
	__type(key, __u32);
	__array(values, struct chunk_map);
} chunks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 131072);
	__type(key, __u32);
	__type(value, struct page_entry);
} pages SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 65536);
	__type(key, __u32);
	__type(value, struct unwind_rule);
} rules SEC(".maps");

enum executable_state {
	EXEC_UNKNOWN,        /* its table was not asked for */
	EXEC_REQUESTED,      /* it was, by a notice */
	EXEC_FRAME_POINTERS, /* it has none */
	EXEC_TABLE,
};

struct executable {
	__u32 page_base;
	__u32 page_count;
	__u32 first_page;
	__u32 state;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, MAX_EXECUTABLES);
	__type(key, __u32);
	__type(value, struct executable);
} executables SEC(".maps");

struct mapping {
	__u64 start;
	__u64 end;
	__u64 bias; /* address in the process minus address as linked */
	__u32 executable;
	__u32 pad;
};

/* A process has up to MAX_PARTS of these, by part number. */
struct process_key {
	__u32 tgid;
	__u32 part;
};

struct process {
	__u64 image;
	__u64 missed; /* when the last unknown mapping was reported */
	__u64 next;   /* where the mappings of the next part begin, 0 if there is none */
	__u32 count;
	__u32 target;
	struct mapping mappings[MAX_MAPPINGS]; /* sorted */
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 8192);
	__type(key, struct process_key);
	__type(value, struct process);
} processes SEC(".maps");

/* Processes whose first sample was reported, by image. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, __u32);
	__type(value, __u64);
} announced SEC(".maps");

struct unwind_state {
	__u64 pc, sp, fp;
	__u64 lr;   /* arm64: the link register, in a leaf frame */
	__u64 regs; /* the saved registers of user mode */
	__u64 image;
	__u64 window_at;   /* address of the window, NO_WINDOW for none */
	__u64 window_last; /* offset of the last two words in it */
	struct mapping mapping; /* the one of the last address; end 0 for none */
	struct executable executable;
	__u32 tgid;
	__u16 frames;
	__u16 base; /* index of the first user frame */
	__u8 exact; /* pc is not a return address */
	__u8 leaf;  /* no frame was left yet: all registers are known */
	__u8 end;
	__u8 known; /* the mappings of the process are known */
};

/* What the step function works on. */
struct scratch {
	__u32 busy;
	__u32 pad;
	struct unwind_state unwind;
	__u64 window[WINDOW / 8]; /* a part of the user stack */
	struct stack_record rec;
};
