/* SPDX-License-Identifier: Apache-2.0 */
/* What the agent cannot say in C. */
#pragma once

#include "arch/x86_64/syscall.h"

/* start.S: blocks all signals, takes the slot's stack, calls agent_main(). */
__attribute__((noreturn)) void agent_entry(void *slot);

/* clone3(2) whose child, on the stack that ARGS name, starts over as the agent of CHILD. */
static inline int64_t arch_clone3(uint64_t args, uint64_t size, uint64_t child)
{
	register uint64_t r12 __asm__("r12") = child;
	int64_t ret;

	__asm__ volatile("syscall\n\t"
			 "test %%rax, %%rax\n\t"
			 "jnz 1f\n\t"
			 "mov %%r12, %%rdi\n\t"
			 "jmp agent_entry\n"
			 "1:"
			 : "=a"(ret)
			 : "a"(__NR_clone3), "D"(args), "S"(size), "r"(r12)
			 : "rcx", "r11", "memory");
	return ret;
}

/*
 * Takes SP for the stack and goes to PC, an instruction "syscall" followed by "ret", with a call
 * prepared: the last thing that is done here.
 */
__attribute__((noreturn)) static inline void arch_leave(uint64_t sp, uint64_t pc, uint64_t nr,
							uint64_t a, uint64_t b, uint64_t c,
							uint64_t e, uint64_t f)
{
	register uint64_t r10 __asm__("r10") = 0;
	register uint64_t r8 __asm__("r8") = e;
	register uint64_t r9 __asm__("r9") = f;
	register uint64_t r12 __asm__("r12") = sp;
	register uint64_t r13 __asm__("r13") = pc;

	__asm__ volatile("mov %%r12, %%rsp\n\t"
			 "jmp *%%r13"
			 :
			 : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9), "r"(r12),
			   "r"(r13)
			 : "memory");
	__builtin_unreachable();
}

/* rt_sigreturn(2) from the frame at SP. */
__attribute__((noreturn)) static inline void arch_sigreturn(uint64_t sp)
{
	__asm__ volatile("mov %0, %%rsp\n\t"
			 "mov %1, %%eax\n\t"
			 "syscall"
			 :
			 : "r"(sp), "i"(__NR_rt_sigreturn)
			 : "memory");
	__builtin_unreachable();
}
