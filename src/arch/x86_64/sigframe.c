/* SPDX-License-Identifier: Apache-2.0 */
#include "arch/x86_64/sigframe.h"

#include <assert.h>
#include <string.h>

/* As the kernel lays it out; the C library's ucontext_t has a larger mask. */
struct kernel_ucontext {
	uint64_t flags, link;
	stack_t stack;
	uint64_t r8, r9, r10, r11, r12, r13, r14, r15, rdi, rsi, rbp, rbx, rdx, rax, rcx, rsp, rip;
	uint64_t eflags;
	uint16_t cs, gs, fs, ss;
	uint64_t err, trapno, oldmask, cr2, fpstate, reserved[8];
	uint64_t sigmask;
};

/* arch/x86/include/uapi/asm/ucontext.h */
#define UC_FP_XSTATE	     1
#define UC_SIGCONTEXT_SS     2
#define UC_STRICT_RESTORE_SS 4

#define SW_BYTES_AT	464 /* struct _fpstate_64.sw_reserved */
#define XSAVE_HEADER_AT 512
#define FEATURES_LEGACY 3 /* x87 and SSE: always there in the legacy part */

static_assert(SIGFRAME_UCONTEXT + offsetof(struct kernel_ucontext, stack) == SIGFRAME_ALTSTACK,
	      "sigaltstack(2) writes there");
static_assert(SIGFRAME_UCONTEXT + offsetof(struct kernel_ucontext, fpstate) == SIGFRAME_FPSTATE,
	      "the agent moves the frame and mends this pointer");
static_assert(SIGFRAME_UCONTEXT + offsetof(struct kernel_ucontext, r8) == SIGFRAME_GREGS &&
		      SIGFRAME_UCONTEXT + offsetof(struct kernel_ucontext, sigmask) ==
			      SIGFRAME_SIGMASK,
	      "the agent leaves with them");
static_assert(SIGFRAME_UCONTEXT + sizeof(struct kernel_ucontext) <= SIGFRAME_XSTATE,
	      "the extended state comes after it");
static_assert(SIGFRAME_XSTATE % SIGFRAME_ALIGN == 0, "XRSTOR wants 64");

size_t sigframe_size(const struct xstate *x)
{
	return ROUND_UP(SIGFRAME_XSTATE + xstate_used(x) + FP_XSTATE_MAGIC2_SIZE, SIGFRAME_ALIGN);
}

static void put_xstate(uint8_t *to, const struct xstate *x)
{
	size_t len = xstate_used(x);
	uint32_t magic2 = FP_XSTATE_MAGIC2;
	struct _fpx_sw_bytes sw = {
		.magic1 = FP_XSTATE_MAGIC1,
		.extended_size = (uint32_t)(len + FP_XSTATE_MAGIC2_SIZE),
		.xstate_size = (uint32_t)len,
	};

	memcpy(to, x->data, len);
	memcpy(&sw.xstate_bv, to + XSAVE_HEADER_AT, sizeof(sw.xstate_bv));
	sw.xstate_bv |= FEATURES_LEGACY;
	memcpy(to + SW_BYTES_AT, &sw, sizeof(sw));
	memcpy(to + len, &magic2, sizeof(magic2));
}

void sigframe_build(void *buf, uint64_t at, const struct regs *regs, const struct xstate *x,
		    uint64_t sigmask, uint64_t restorer)
{
	const struct user_regs_struct *r = &regs->gp;
	struct kernel_ucontext uc = {
		.flags = UC_FP_XSTATE | UC_SIGCONTEXT_SS | UC_STRICT_RESTORE_SS,
		.stack.ss_flags = SS_DISABLE,
		.r8 = r->r8,
		.r9 = r->r9,
		.r10 = r->r10,
		.r11 = r->r11,
		.r12 = r->r12,
		.r13 = r->r13,
		.r14 = r->r14,
		.r15 = r->r15,
		.rdi = r->rdi,
		.rsi = r->rsi,
		.rbp = r->rbp,
		.rbx = r->rbx,
		.rdx = r->rdx,
		.rax = r->rax,
		.rcx = r->rcx,
		.rsp = r->rsp,
		.rip = r->rip,
		.eflags = r->eflags,
		.cs = (uint16_t)r->cs,
		.ss = (uint16_t)r->ss,
		.fpstate = at + SIGFRAME_XSTATE,
		.sigmask = sigmask,
	};
	uint8_t *b = buf;

	memset(b, 0, sigframe_size(x));
	memcpy(b + SIGFRAME_RET, &restorer, sizeof(restorer));
	memcpy(b + SIGFRAME_UCONTEXT, &uc, sizeof(uc));
	put_xstate(b + SIGFRAME_XSTATE, x);
}
