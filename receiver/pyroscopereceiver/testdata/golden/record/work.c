// Works on the processor in three threads and touches new memory:
// gcc -O1 -g -fno-omit-frame-pointer -pthread work.c
#include <pthread.h>
#include <stdlib.h>

volatile unsigned long sink;

static __attribute__((noinline)) unsigned long mix(unsigned long n) {
	unsigned long h = 1469598103934665603UL;
	for (unsigned long i = 0; i < n; i++) h = (h ^ i) * 1099511628211UL;
	return h;
}
static __attribute__((noinline)) unsigned long climb(int depth) {
	if (depth == 0) return mix(200000);
	return climb(depth - 1) + 1;
}
static int compare(const void *a, const void *b) { return *(const int *)a - *(const int *)b; }
static __attribute__((noinline)) void sort(int n) {
	int *list = malloc(n * sizeof *list);
	for (int i = 0; i < n; i++) list[i] = (int)(mix(i % 8) >> 40);
	qsort(list, n, sizeof *list, compare);
	sink += list[n / 2];
	free(list);
}
static __attribute__((noinline)) void touch(long n) {
	char *p = malloc(n);
	for (long i = 0; i < n; i += 4096) p[i] = 1;
	sink += p[n - 1];
	free(p);
}
static void *work(void *of) {
	for (long i = 0; i < 60; i++) {
		if (of) climb((int)(long)of * 10);
		else sort(20000);
		touch(1 << 20);
	}
	return 0;
}
int main(void) {
	pthread_t t[3];
	for (long i = 0; i < 3; i++) pthread_create(&t[i], 0, work, (void *)i);
	for (int i = 0; i < 3; i++) pthread_join(t[i], 0);
	return 0;
}
