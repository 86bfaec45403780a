/* burn SECONDS: spends CPU time, 70 % of it in burn_long, 30 % in burn_short. */
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

#define NOINLINE __attribute__((noinline, noclone))

static inline uint64_t spin(uint64_t x, int n)
{
	for (int i = 0; i < n; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
	}
	return x;
}

NOINLINE uint64_t burn_long(uint64_t x) { return spin(x, 70000) + 1; }
static NOINLINE uint64_t burn_short(uint64_t x) { return spin(x, 30000) + 2; }

int main(int argc, char **argv)
{
	clock_t end = clock() + (argc > 1 ? atoi(argv[1]) : 1) * CLOCKS_PER_SEC;
	volatile uint64_t x = 1;

	while (clock() < end)
		for (int i = 0; i < 10; i++) {
			x = burn_long(x);
			x = burn_short(x);
		}
	return x == 0;
}
