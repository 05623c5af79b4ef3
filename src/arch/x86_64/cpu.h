/* SPDX-License-Identifier: Apache-2.0 */
/* What this processor can do, as far as programs see it (cpuid). */
#pragma once

#include "base/base.h"

/* Words of capabilities as CRIU numbers them: Linux' cpuid_leafs without those that Linux makes up.
 */
enum cpu_word {
	CPU_1_EDX,
	CPU_80000001_EDX,
	CPU_80860001_EDX,
	CPU_LINUX_1,
	CPU_1_ECX,
	CPU_C0000001_EDX,
	CPU_80000001_ECX,
	CPU_LINUX_2,
	CPU_LINUX_3,
	CPU_7_EBX,
	CPU_D_1_EAX,
	CPU_7_ECX,
	CPU_WORDS_V1 = 12,
	CPU_LINUX_4 = 12,
	CPU_LINUX_5,
	CPU_80000008_EBX,
	CPU_6_EAX,
	CPU_8000000A_EDX,
	CPU_7_EDX,
	CPU_WORDS
};

struct cpu {
	bool amd;
	uint32_t family, model, stepping;
	uint32_t words[CPU_WORDS];
	char name[49];
	uint64_t xfeatures;  /* XCR0 */
	uint32_t xsave_size; /* bytes, for XCR0 as it is, and for all that the processor has */
	uint32_t xsave_size_max;
};

void cpu_read(struct cpu *ret);

/* Bits of a word that programs notice: instructions they may use. */
uint32_t cpu_instruction_bits(enum cpu_word word);
