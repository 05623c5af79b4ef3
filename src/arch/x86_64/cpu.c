/* SPDX-License-Identifier: Apache-2.0 */
#include "arch/x86_64/cpu.h"

#include <cpuid.h>
#include <string.h>

enum reg { EAX, EBX, ECX, EDX };

/* Where each word is found: Intel SDM volume 2, CPUID; AMD APM volume 3, appendix E. */
static const struct {
	uint32_t leaf, subleaf;
	enum reg reg;
	uint32_t instructions;
} sources[CPU_WORDS] = {
	/* fpu tsc cx8 sep cmov clflush mmx fxsr sse sse2 */
	[CPU_1_EDX] = {1, 0, EDX,
		       1u | 1u << 4 | 1u << 8 | 1u << 11 | 1u << 15 | 1u << 19 | 1u << 23 |
			       1u << 24 | 1u << 25 | 1u << 26},
	/* syscall mmxext rdtscp 3dnowext 3dnow */
	[CPU_80000001_EDX] = {0x80000001, 0, EDX,
			      1u << 11 | 1u << 22 | 1u << 27 | 1u << 30 | 1u << 31},
	/* sse3 pclmulqdq mwait ssse3 fma cx16 sse4.1 sse4.2 movbe popcnt aes xsave osxsave avx f16c
	   rdrand */
	[CPU_1_ECX] = {1, 0, ECX,
		       1u | 1u << 1 | 1u << 3 | 1u << 9 | 1u << 12 | 1u << 13 | 1u << 19 |
			       1u << 20 | 1u << 22 | 1u << 23 | 1u << 25 | 1u << 26 | 1u << 27 |
			       1u << 28 | 1u << 29 | 1u << 30},
	/* abm sse4a misalignsse 3dnowprefetch xop fma4 tbm */
	[CPU_80000001_ECX] = {0x80000001, 0, ECX,
			      1u << 5 | 1u << 6 | 1u << 7 | 1u << 8 | 1u << 11 | 1u << 16 |
				      1u << 21},
	/* fsgsbase bmi1 hle avx2 bmi2 erms rtm mpx avx512f avx512dq rdseed adx avx512ifma
	   clflushopt clwb avx512pf avx512er avx512cd sha avx512bw avx512vl */
	[CPU_7_EBX] = {7, 0, EBX,
		       1u | 1u << 3 | 1u << 4 | 1u << 5 | 1u << 8 | 1u << 9 | 1u << 11 | 1u << 14 |
			       1u << 16 | 1u << 17 | 1u << 18 | 1u << 19 | 1u << 21 | 1u << 23 |
			       1u << 24 | 1u << 26 | 1u << 27 | 1u << 28 | 1u << 29 | 1u << 30 |
			       1u << 31},
	/* xsaveopt xsavec xgetbv1 */
	[CPU_D_1_EAX] = {0xd, 1, EAX, 7},
	/* avx512vbmi pku ospke avx512_vbmi2 gfni vaes vpclmulqdq avx512_vnni avx512_bitalg
	   avx512_vpopcntdq rdpid */
	[CPU_7_ECX] = {7, 0, ECX,
		       1u << 1 | 1u << 3 | 1u << 4 | 1u << 6 | 1u << 8 | 1u << 9 | 1u << 10 |
			       1u << 11 | 1u << 12 | 1u << 14 | 1u << 22},
	/* clzero */
	[CPU_80000008_EBX] = {0x80000008, 0, EBX, 1},
	[CPU_6_EAX] = {6, 0, EAX, 0},
	[CPU_8000000A_EDX] = {0x8000000a, 0, EDX, 0},
	/* avx512_4vnniw avx512_4fmaps amx-bf16 avx512_fp16 amx-tile amx-int8 */
	[CPU_7_EDX] = {7, 0, EDX, 1u << 2 | 1u << 3 | 1u << 22 | 1u << 23 | 1u << 24 | 1u << 25},
};

static void read_id(struct cpu *c)
{
	uint32_t v[4] = {0};
	char vendor[13] = "";

	__get_cpuid(0, &v[EAX], &v[EBX], &v[ECX], &v[EDX]);
	memcpy(vendor, &v[EBX], 4);
	memcpy(vendor + 4, &v[EDX], 4);
	memcpy(vendor + 8, &v[ECX], 4);
	c->amd = strcmp(vendor, "AuthenticAMD") == 0;
	__get_cpuid(1, &v[EAX], &v[EBX], &v[ECX], &v[EDX]);
	c->family = v[EAX] >> 8 & 0xf;
	c->model = v[EAX] >> 4 & 0xf;
	c->stepping = v[EAX] & 0xf;
	if (c->family >= 6)
		c->model += (v[EAX] >> 16 & 0xf) << 4;
	if (c->family == 0xf)
		c->family += v[EAX] >> 20 & 0xff;
	for (uint32_t i = 0; i < 3; i++)
		if (__get_cpuid(0x80000002 + i, &v[EAX], &v[EBX], &v[ECX], &v[EDX]))
			memcpy(c->name + 16 * (size_t)i, v, 16);
}

static void read_xsave(struct cpu *c)
{
	uint32_t v[4] = {0}, low = 0, high = 0;

	if (!(c->words[CPU_1_ECX] & 1u << 27)) /* osxsave: xgetbv may be used */
		return;
	__asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
	c->xfeatures = (uint64_t)high << 32 | low;
	if (__get_cpuid_count(0xd, 0, &v[EAX], &v[EBX], &v[ECX], &v[EDX])) {
		c->xsave_size = v[EBX];
		c->xsave_size_max = v[ECX];
	}
}

void cpu_read(struct cpu *ret)
{
	*ret = (struct cpu){0};
	read_id(ret);
	for (unsigned i = 0; i < CPU_WORDS; i++) {
		uint32_t v[4] = {0};

		if (sources[i].leaf && __get_cpuid_count(sources[i].leaf, sources[i].subleaf,
							 &v[EAX], &v[EBX], &v[ECX], &v[EDX]))
			ret->words[i] = v[sources[i].reg];
	}
	read_xsave(ret);
}

uint32_t cpu_instruction_bits(enum cpu_word word)
{
	return sources[word].instructions;
}
