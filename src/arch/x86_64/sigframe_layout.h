/* SPDX-License-Identifier: Apache-2.0 */
/* Offsets from a signal frame's start, which is aligned to SIGFRAME_ALIGN; see sigframe.h. */
#pragma once

#define SIGFRAME_ALIGN	  64
#define SIGFRAME_RET	  56  /* stack pointer for "ret": the restorer's address lies here */
#define SIGFRAME_UCONTEXT 64  /* stack pointer for a bare rt_sigreturn: struct ucontext */
#define SIGFRAME_ALTSTACK 80  /* stack_t, within the ucontext: filled by sigaltstack(2) */
#define SIGFRAME_GREGS	  104 /* u64: r8 to r15, rdi, rsi, rbp, rbx, rdx, rax, rcx, rsp, rip, flags \
			       */
#define SIGFRAME_SIGMASK 360  /* u64, within the ucontext */
#define SIGFRAME_FPSTATE 288  /* u64: address of the extended state, within the ucontext */
#define SIGFRAME_XSTATE	 512  /* the extended state itself */
