/* SPDX-License-Identifier: Apache-2.0 */
/* Floating point, SSE and AVX registers that are live across the dump; rounding modes. */
#include "cr.h"

#include <fenv.h>

static void go_on(void)
{
	char c;
	long n;

	/* read(0, &c, 1) without a call that would be allowed to clobber the vector registers */
	asm volatile("syscall"
		     : "=a"(n)
		     : "a"(SYS_read), "D"(0), "S"(&c), "d"(1)
		     : "rcx", "r11", "memory");
	check(n == 1, "read %ld", n);
}

int main(void)
{
	static const uint64_t in[4] = {0x1122334455667788, 2, 3, 0xfedcba9876543210};
	uint64_t out[4] = {0};
	double x87 = 0;
	uint32_t mxcsr;
	bool avx = __builtin_cpu_supports("avx");

	fesetround(FE_UPWARD);
	say("ready\n");
	asm volatile("fldpi");
	if (avx) {
		asm volatile("vmovdqu %0, %%ymm7" ::"m"(in) : "xmm7");
		char c;
		long n;
		asm volatile("syscall"
			     : "=a"(n)
			     : "a"(SYS_read), "D"(0), "S"(&c), "d"(1)
			     : "rcx", "r11", "memory");
		asm volatile("vmovdqu %%ymm7, %0" : "=m"(out));
		check(n == 1, "read %ld", n);
		check(!memcmp(in, out, sizeof(in)), "ymm7 %lx %lx", (long)out[0], (long)out[3]);
	} else {
		go_on();
	}
	asm volatile("fstpl %0" : "=m"(x87));
	check(x87 > 3.14159 && x87 < 3.1416, "x87 %f", x87);
	asm volatile("stmxcsr %0" : "=m"(mxcsr));
	check((mxcsr & 0x6000) == 0x4000, "mxcsr %#x", mxcsr);
	check(fegetround() == FE_UPWARD);
	return ok();
}
