/* SPDX-License-Identifier: Apache-2.0 */
/* What the agent cannot say in C. */
#pragma once

#include "arch/x86_64/syscall.h"

#include <linux/prctl.h>

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
 * Makes the kernel give this thread room for tiles (AMX): the first use of them is a fault (#NM,
 * arch/x86/kernel/traps.c: handle_xfd_event()), which kills whoever has no permission.  Leaves them
 * in their initial state.
 */
static inline void arch_touch_tiles(void)
{
	/* palette 1, of tile 0 one row of four bytes (Intel SDM volume 1, 18.2) */
	const uint64_t config[8] = {[0] = 1, [2] = 4, [6] = 1};

	__asm__ volatile("ldtilecfg %0\n\t"
			 "tilezero %%tmm0\n\t"
			 "tilerelease"
			 :
			 : "m"(config));
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

#define RED_ZONE  128 /* "ret $128" below */
#define STRING(x) #x
#define NUMBER(x) STRING(x)

/*
 * Goes on with the registers GREGS (SIGFRAME_GREGS) of a thread whose stack pointer is SP beyond
 * its red zone, without a call of the kernel after the one that may forbid any other from here:
 * prctl(2), with the four arguments DISPATCH.  Before it, unless MASK is NULL, the blocked signals
 * are set: a handler that runs then is on the thread's own stack.
 */
__attribute__((noreturn)) static inline void arch_go_back(const void *gregs, uint64_t sp,
							  const void *mask, const void *dispatch)
{
	register const void *r12 __asm__("r12") = gregs;
	register const void *r13 __asm__("r13") = dispatch;

	__asm__ volatile(
		"mov %[sp], %%rsp\n\t"
		"pushq 128(%%r12)\n\t" /* rip */
		"pushq 64(%%r12)\n\t"  /* rdi */
		"pushq 136(%%r12)\n\t" /* flags */
		"test %%rsi, %%rsi\n\t"
		"jz 1f\n\t"
		"mov $" NUMBER(
			__NR_rt_sigprocmask) ", %%eax\n\t"
					     "mov $2, %%edi\n\t" /* SIG_SETMASK */
					     "xor %%edx, %%edx\n\t"
					     "mov $8, %%r10d\n\t"
					     "syscall\n"
					     "1:\n\t"
					     "mov $" NUMBER(
						     __NR_prctl) ", %%eax\n\t"
								 "mov $" NUMBER(
									 PR_SET_SYSCALL_USER_DISPATCH) ", %%edi\n\t"
												       "mov 0(%%r13), %%rsi\n\t"
												       "mov 8(%%r13), %%rdx\n\t"
												       "mov 16(%%r13), %%r10\n\t"
												       "mov 24(%%r13), %%r8\n\t"
												       "syscall\n\t"
												       "mov %%r12, %%rdi\n\t"
												       "mov 0(%%rdi), %%r8\n\t"
												       "mov 8(%%rdi), %%r9\n\t"
												       "mov 16(%%rdi), %%r10\n\t"
												       "mov 24(%%rdi), %%r11\n\t"
												       "mov 32(%%rdi), %%r12\n\t"
												       "mov 40(%%rdi), %%r13\n\t"
												       "mov 48(%%rdi), %%r14\n\t"
												       "mov 56(%%rdi), %%r15\n\t"
												       "mov 72(%%rdi), %%rsi\n\t"
												       "mov 80(%%rdi), %%rbp\n\t"
												       "mov 88(%%rdi), %%rbx\n\t"
												       "mov 96(%%rdi), %%rdx\n\t"
												       "mov 104(%%rdi), %%rax\n\t"
												       "mov 112(%%rdi), %%rcx\n\t"
												       "popfq\n\t"
												       "pop %%rdi\n\t"
												       "ret $" NUMBER(
													       RED_ZONE)
		:
		: [sp] "r"(sp), "r"(r12), "r"(r13), "S"(mask)
		: "memory");
	__builtin_unreachable();
}
