// SPDX-License-Identifier: Apache-2.0
//
// oddcalls CALLS: so many each of system calls that do not exist (by two numbers), of
// calls by the 32-bit table of x86-64, and of signals that are handled. Waits for the
// end of standard input before and after.
#define _GNU_SOURCE
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

static void handler(int signal) { (void)signal; }

static int wait_for_input(void) {
	char c;
	return read(0, &c, 1);
}

int main(int argc, char **argv) {
	long calls = argc > 1 ? atol(argv[1]) : 0;
	signal(SIGUSR1, handler);
	for (long i = 0; i < calls; i++) {
		syscall(1000000 + i);
		syscall(0x3fffffff);
		raise(SIGUSR1);
	}
#if defined(__x86_64__)
	for (long i = 0; i < calls; i++) {
		long number = 64; // getppid there, semget here
		__asm__ volatile("int $0x80" : "+a"(number) : : "memory", "r8", "r9", "r10", "r11");
	}
#endif
	return wait_for_input();
}
