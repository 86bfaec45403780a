/* SPDX-License-Identifier: Apache-2.0 */
/* Functions with the frames that compilers make; see make.sh. */

extern int elsewhere(const void *p);

int leaf(int a, int b)
{
	return a * b + 1;
}

int framed(int n)
{
	int buf[64];

	for (int i = 0; i < 64; i++)
		buf[i] = leaf(i, n);
	return elsewhere(buf) + buf[n & 63];
}

/* The CFA is computed from the frame pointer. */
int variable(int n)
{
	char buf[n];

	return elsewhere(buf);
}

/* Realigns its stack: on x86-64 the CFA is in r10 first, then in memory. */
int aligned(int n, ...)
{
	__attribute__((aligned(64))) char buf[64];
	char more[n];
	__builtin_va_list ap;

	__builtin_va_start(ap, n);
	n = __builtin_va_arg(ap, int);
	__builtin_va_end(ap);
	return elsewhere(buf) + elsewhere(more) + n;
}

/* Saves more registers than it has parameters. */
long many(long a, long b, long c, long d, long e, long f)
{
	for (int i = elsewhere(&a); i > 0; i--)
		a += elsewhere(&b) * c + d * elsewhere(&e) + f * elsewhere(&c) + b * elsewhere(&f);
	return a + b + c + d + e + f;
}

#if defined(__x86_64__)
#define NO_CALLER ".cfi_undefined rip"
#else
#define NO_CALLER ".cfi_undefined x30"
#endif

__asm__(
	".text\n"
	".balign 16\n"
	".globl outermost\n.type outermost, @function\n"
	"outermost:\n.cfi_startproc\n" NO_CALLER "\nnop\nnop\nnop\nnop\n.cfi_endproc\n.size outermost, .-outermost\n"
	".balign 16\n"
	".globl handled\n.type handled, @function\n"
	"handled:\n.cfi_startproc\n.cfi_signal_frame\n"
#if defined(__x86_64__)
	/* As glibc does: DW_CFA_def_cfa_expression: breg7 160; deref. */
	".cfi_escape 0x0f,0x04,0x77,0xa0,0x01,0x06\n"
#else
	".cfi_def_cfa x29, 0\n.cfi_offset x29, 0\n.cfi_offset x30, 8\n"
#endif
	"nop\nnop\nnop\nnop\n.cfi_endproc\n.size handled, .-handled\n"
	".balign 16\n"
	/* Without call frame information. */
	".globl silent\n.type silent, @function\n"
	"silent:\n.fill 64, 1, 0x90\n.size silent, .-silent\n");
