/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Would a seccomp filter kill an agent that finds its way home?
 *
 * While we hold a task its filters are suspended, when we die they are not any more.  So they are
 * run here, on the calls of a way home, as kernel/seccomp.c: seccomp_run_filters() would; classic
 * BPF in the subset of seccomp_check_filter().
 */
#include "agent/private.h"

#include <linux/audit.h>
#include <linux/seccomp.h>
#include <string.h>
#include <sys/syscall.h>

static bool load(const struct seccomp_data *d, uint32_t at, uint32_t *ret)
{
	if (at + sizeof(*ret) > sizeof(*d))
		return false;
	memcpy(ret, (const uint8_t *)d + at, sizeof(*ret));
	return true;
}

static uint32_t alu(uint16_t op, uint32_t a, uint32_t b)
{
	switch (op) {
	case BPF_ADD:
		return a + b;
	case BPF_SUB:
		return a - b;
	case BPF_MUL:
		return a * b;
	case BPF_DIV:
		return b ? a / b : 0;
	case BPF_OR:
		return a | b;
	case BPF_AND:
		return a & b;
	case BPF_XOR:
		return a ^ b;
	case BPF_LSH:
		return b < 32 ? a << b : 0;
	case BPF_RSH:
		return b < 32 ? a >> b : 0;
	case BPF_NEG:
		return -a;
	default:
		return 0;
	}
}

static bool jumps(uint16_t op, uint32_t a, uint32_t b)
{
	switch (op) {
	case BPF_JEQ:
		return a == b;
	case BPF_JGT:
		return a > b;
	case BPF_JGE:
		return a >= b;
	default:
		return a & b; /* BPF_JSET */
	}
}

/* The filter's verdict; a filter that cannot be understood kills. */
static uint32_t run(const struct sock_filter *f, unsigned n, const struct seccomp_data *d)
{
	uint32_t a = 0, x = 0, mem[BPF_MEMWORDS] = {0};

	for (unsigned pc = 0; pc < n; pc++) {
		const struct sock_filter *i = &f[pc];
		uint32_t operand = BPF_SRC(i->code) == BPF_X ? x : i->k;

		switch (BPF_CLASS(i->code)) {
		case BPF_LD:
			if (BPF_MODE(i->code) == BPF_IMM)
				a = i->k;
			else if (BPF_MODE(i->code) == BPF_LEN)
				a = sizeof(*d);
			else if (BPF_MODE(i->code) == BPF_MEM)
				a = mem[i->k % BPF_MEMWORDS];
			else if (!load(d, i->k, &a))
				return SECCOMP_RET_KILL_PROCESS;
			break;
		case BPF_LDX:
			x = BPF_MODE(i->code) == BPF_IMM   ? i->k
			    : BPF_MODE(i->code) == BPF_LEN ? (uint32_t)sizeof(*d)
							   : mem[i->k % BPF_MEMWORDS];
			break;
		case BPF_ST:
			mem[i->k % BPF_MEMWORDS] = a;
			break;
		case BPF_STX:
			mem[i->k % BPF_MEMWORDS] = x;
			break;
		case BPF_ALU:
			a = alu(BPF_OP(i->code), a, operand);
			break;
		case BPF_JMP:
			if (BPF_OP(i->code) == BPF_JA)
				pc += i->k;
			else
				pc += jumps(BPF_OP(i->code), a, operand) ? i->jt : i->jf;
			break;
		case BPF_RET:
			return BPF_RVAL(i->code) == BPF_A ? a : i->k;
		case BPF_MISC:
			if (BPF_MISCOP(i->code) == BPF_TAX)
				x = a;
			else
				a = x;
			break;
		}
	}
	return SECCOMP_RET_KILL_PROCESS;
}

static bool passes(const struct sock_filter *f, unsigned n)
{
	static const int calls[] = {SYS_munmap,	      SYS_close,	  SYS_futex,
				    SYS_rt_sigreturn, SYS_rt_sigprocmask, SYS_sigaltstack};

	for (unsigned i = 0; i < ARRAY_SIZE(calls); i++) {
		struct seccomp_data d = {.nr = calls[i], .arch = AUDIT_ARCH_X86_64};
		uint32_t verdict = run(f, n, &d) & SECCOMP_RET_ACTION_FULL;

		if (verdict != SECCOMP_RET_ALLOW && verdict != SECCOMP_RET_LOG)
			return false;
	}
	return true;
}

bool agent_filters_allow_leaving(pid_t tid)
{
	for (unsigned i = 0;; i++) {
		g_autofree struct sock_filter *f = NULL;
		uint64_t flags;
		unsigned n;
		int r = ptrace_get_seccomp(tid, i, &f, &n, &flags);

		if (r > 0)
			return true;
		if (r < 0 || !passes(f, n))
			return false;
	}
}
