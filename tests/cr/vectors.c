/* SPDX-License-Identifier: Apache-2.0 */
/* AVX-512: upper halves, registers beyond the sixteenth and masks that are live across the dump. */
#include "cr.h"

#define ZMM 64

__attribute__((target("avx512f,avx512bw"))) static void across(const uint8_t in[2][ZMM],
							       uint8_t out[2][ZMM], uint64_t *mask)
{
	char c;
	long n;

	asm volatile(
		"vmovdqu64 %[a], %%zmm5\n\t"
		"vmovdqu64 %[b], %%zmm20\n\t"
		"kmovq %[mask], %%k3\n\t"
		"syscall\n\t"
		"vmovdqu64 %%zmm5, %[x]\n\t"
		"vmovdqu64 %%zmm20, %[y]\n\t"
		"kmovq %%k3, %[mask]"
		: "=a"(n), [x] "=m"(*(char(*)[ZMM])out[0]), [y] "=m"(*(char(*)[ZMM])out[1]),
		  [mask] "+r"(*mask)
		: "a"(SYS_read), "D"(0), "S"(&c),
		  "d"(1), [a] "m"(*(const char(*)[ZMM])in[0]), [b] "m"(*(const char(*)[ZMM])in[1])
		: "rcx", "r11", "memory", "xmm5", "xmm20", "k3");
	check(n == 1, "read %ld", n);
}

int main(void)
{
	uint8_t in[2][ZMM], out[2][ZMM] = {{0}};
	uint64_t mask = 0xdeadbeefcafe1234;

	if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw"))
		skip("this CPU has no AVX-512");
	for (int i = 0; i < ZMM; i++) {
		in[0][i] = (uint8_t)(i * 3 + 1);
		in[1][i] = (uint8_t)(200 - i);
	}
	say("ready\n");
	across(in, out, &mask);
	for (int i = 0; i < 2; i++)
		check(!memcmp(in[i], out[i], ZMM), "zmm%d", i ? 20 : 5);
	check(mask == 0xdeadbeefcafe1234, "k3 %lx", (long)mask);
	return ok();
}
