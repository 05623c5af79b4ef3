/* SPDX-License-Identifier: Apache-2.0 */
#include "arch/x86_64/insn.h"

#include <string.h>

static const uint8_t insn_syscall[] = {0x0f, 0x05};
static const uint8_t insn_ret = 0xc3;
/* How C libraries and Go write it: with a 32-bit or a sign-extended immediate. */
static const uint8_t mov_sigreturn_32[] = {0xb8, 0x0f, 0, 0, 0};
static const uint8_t mov_sigreturn_64[] = {0x48, 0xc7, 0xc0, 0x0f, 0, 0, 0};

static bool preceded_by(const uint8_t *code, const uint8_t *p, const uint8_t *insn, size_t len)
{
	return (size_t)(p - code) >= len && !memcmp(p - len, insn, len);
}

static uint64_t restorer_before(const uint8_t *code, const uint8_t *p, uint64_t at)
{
	if (preceded_by(code, p, mov_sigreturn_64, sizeof(mov_sigreturn_64)))
		return at - sizeof(mov_sigreturn_64);
	if (preceded_by(code, p, mov_sigreturn_32, sizeof(mov_sigreturn_32)))
		return at - sizeof(mov_sigreturn_32);
	return 0;
}

bool insns_scan(const void *code, size_t len, uint64_t at, struct insns *ins)
{
	const uint8_t *start = code, *end = start + len, *p = start;

	while ((p = memmem(p, (size_t)(end - p), insn_syscall, sizeof(insn_syscall)))) {
		uint64_t here = at + (uint64_t)(p - start);

		if (!ins->syscall)
			ins->syscall = here;
		if (!ins->syscall_ret && p + 2 < end && p[2] == insn_ret)
			ins->syscall_ret = here;
		if (!ins->restorer)
			ins->restorer = restorer_before(start, p, here);
		if (ins->syscall_ret && ins->restorer)
			return true;
		p += sizeof(insn_syscall);
	}
	return ins->syscall_ret && ins->restorer;
}
