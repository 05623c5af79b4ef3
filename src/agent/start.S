/* SPDX-License-Identifier: Apache-2.0 */
/*
 * agent_entry(slot): the agent's first instructions.  It comes on the thread's own stack, below the
 * red zone, possibly with signals unblocked (should the coordinator die just then): a handler that
 * runs now has the stack that it would have had anyway.  So nothing is pushed before all signals
 * are blocked and the slot's own, small stack is taken.
 */
#include <asm/unistd.h>

#define SIG_SETMASK  2
#define SIGSET_BYTES 8
#define SLOT_STACK   8	/* struct slot.stack: agent_blob.c asserts it, */
#define SLOT_DISPATCHING 16 /* struct slot.dispatching, */
#define DISPATCH_MAYBE_OFF 1 /* and this */

	.section .text.start, "ax", %progbits
	.globl	agent_entry
	.hidden	agent_entry
	.type	agent_entry, %function
agent_entry:
	cmpl	$DISPATCH_MAYBE_OFF, SLOT_DISPATCHING(%rdi)
	je	1f
	movq	%rdi, %rbx
	movl	$__NR_rt_sigprocmask, %eax
	movl	$SIG_SETMASK, %edi
	leaq	all_signals(%rip), %rsi
	xorl	%edx, %edx
	movl	$SIGSET_BYTES, %r10d
	syscall
	movq	SLOT_STACK(%rbx), %rsp
	movq	%rbx, %rdi
	xorl	%ebp, %ebp
	call	agent_main
	ud2
	/* We are gone, and its calls may be the program's to handle: back at once, where it is. */
1:	call	agent_turn_back
	ud2

	.section .rodata, "a", %progbits
	.balign	8
all_signals:
	.quad	-1

	.section .note.GNU-stack, "", %progbits
