/* SPDX-License-Identifier: Apache-2.0 */
/*
 * General registers and extended state.  CRIU's message takes the XSAVE area apart; it has no place
 * for all that may be in it (AMX), so the whole area travels beside it in IMAGE_EXTRA, and is used
 * if this CPU's has the same length; otherwise the message's parts are.
 */
#include "state/task/task.h"

#include <errno.h>
#include <string.h>

/* Offsets in the standard XSAVE area: Intel SDM volume 1, 13.4 and CPUID leaf 0Dh. */
#define X_ST	    32
#define X_XMM	    160
#define X_HEADER    512
#define X_YMMH	    576
#define FXSAVE_SIZE 512

#define GP(k, m)                                                                                   \
	{                                                                                          \
		offsetof(struct user_regs_struct, k), offsetof(UserX86RegsEntry, m)                \
	}
/* clang-format off */
static const struct {
	size_t kernels, messages;
} gp[] = {
	GP(r15, r15), GP(r14, r14), GP(r13, r13), GP(r12, r12), GP(rbp, bp), GP(rbx, bx),
	GP(r11, r11), GP(r10, r10), GP(r9, r9), GP(r8, r8), GP(rax, ax), GP(rcx, cx), GP(rdx, dx),
	GP(rsi, si), GP(rdi, di), GP(orig_rax, orig_ax), GP(rip, ip), GP(cs, cs),
	GP(eflags, flags), GP(rsp, sp), GP(ss, ss), GP(fs_base, fs_base), GP(gs_base, gs_base),
	GP(ds, ds), GP(es, es), GP(fs, fs), GP(gs, gs),
};
/* clang-format on */

static uint64_t *field_of(void *base, size_t offset)
{
	return (uint64_t *)(void *)((char *)base + offset);
}

static UserX86RegsEntry *gp_message(struct regs *r)
{
	UserX86RegsEntry *e = g_new0(UserX86RegsEntry, 1);

	user_x86_regs_entry__init(e);
	for (unsigned i = 0; i < ARRAY_SIZE(gp); i++)
		*field_of(e, gp[i].messages) = *field_of(&r->gp, gp[i].kernels);
	e->has_mode = true;
	e->mode = USER_X86_REGS_MODE__NATIVE;
	return e;
}

static uint32_t *words(const uint8_t *from, size_t bytes, size_t *n)
{
	*n = bytes / sizeof(uint32_t);
	return g_memdup2(from, bytes);
}

static UserX86FpregsEntry *fp_message(const struct xstate *x)
{
	UserX86FpregsEntry *e = g_new0(UserX86FpregsEntry, 1);
	const uint8_t *p = x->data;
	uint16_t half[4];

	user_x86_fpregs_entry__init(e);
	memcpy(half, p, sizeof(half));
	e->cwd = half[0];
	e->swd = half[1];
	e->twd = half[2];
	e->fop = half[3];
	memcpy(&e->rip, p + 8, 8);
	memcpy(&e->rdp, p + 16, 8);
	memcpy(&e->mxcsr, p + 24, 4);
	memcpy(&e->mxcsr_mask, p + 28, 4);
	e->st_space = words(p + X_ST, 128, &e->n_st_space);
	e->xmm_space = words(p + X_XMM, 256, &e->n_xmm_space);
	if (x->len > X_HEADER + 8) {
		e->xsave = g_new0(UserX86XsaveEntry, 1);
		user_x86_xsave_entry__init(e->xsave);
		memcpy(&e->xsave->xstate_bv, p + X_HEADER, 8);
		if (x->len >= X_YMMH + 256)
			e->xsave->ymmh_space = words(p + X_YMMH, 256, &e->xsave->n_ymmh_space);
	}
	return e;
}

int regs_dump(struct dump *d, struct dthread *h)
{
	unsigned i = (unsigned)(h - h->task->threads);
	struct seized_thread *s = seized_at(&h->task->seized, i);
	ThreadInfoX86 *info;
	g_autofree char *text = NULL;
	char key[32];

	if (regs_are_compat(&s->regs))
		return err_set(EOPNOTSUPP, "thread %d runs 32-bit code", h->nstid);
	if (s->xstate.len < FXSAVE_SIZE)
		return err_set(EIO, "thread %d: extended state of %zu bytes", h->nstid,
			       s->xstate.len);
	h->core->thread_info = info = g_new0(ThreadInfoX86, 1);
	thread_info_x86__init(info);
	info->gpregs = gp_message(&s->regs);
	info->fpregs = fp_message(&s->xstate);
	text = g_base64_encode(s->xstate.data, s->xstate.len);
	g_snprintf(key, sizeof(key), "xstate.%d", h->nstid);
	json_object_set_new(h->task->extra, key, json_string(text));
	return 0;
}

int regs_load(struct rthread *h)
{
	const ThreadInfoX86 *i = h->core->thread_info;

	if (!i)
		return err_set(EBADMSG, "there are no registers");
	if (i->gpregs->has_mode && i->gpregs->mode != USER_X86_REGS_MODE__NATIVE)
		return err_set(EOPNOTSUPP, "32-bit code cannot be restored");
	if (i->fpregs->n_st_space != 32 || i->fpregs->n_xmm_space != 64)
		return err_set(EBADMSG, "its floating point registers are malformed");
	return 0;
}

/* 1: there is none that fits. */
static int whole_xstate(struct rthread *h, struct xstate *x)
{
	g_autofree uint8_t *data = NULL;
	const char *text;
	char key[32];
	size_t len;

	g_snprintf(key, sizeof(key), "xstate.%d", h->nstid);
	text = json_string_value(json_object_get(h->task->extra, key));
	if (!text)
		return 1;
	data = g_base64_decode(text, &len);
	if (len != x->len)
		return 1;
	memcpy(x->data, data, len);
	return 0;
}

static void xstate_of_message(const UserX86FpregsEntry *e, struct xstate *x)
{
	uint16_t half[4] = {(uint16_t)e->cwd, (uint16_t)e->swd, (uint16_t)e->twd, (uint16_t)e->fop};
	uint64_t features = 3; /* x87, SSE */

	memset(x->data, 0, x->len);
	memcpy(x->data, half, sizeof(half));
	memcpy(x->data + 8, &e->rip, 8);
	memcpy(x->data + 16, &e->rdp, 8);
	memcpy(x->data + 24, &e->mxcsr, 4);
	memcpy(x->data + X_ST, e->st_space, 128);
	memcpy(x->data + X_XMM, e->xmm_space, 256);
	if (e->xsave && e->xsave->n_ymmh_space == 64 && x->len >= X_YMMH + 256 &&
	    e->xsave->xstate_bv & 4) {
		memcpy(x->data + X_YMMH, e->xsave->ymmh_space, 256);
		features |= 4;
	}
	if (x->len > X_HEADER + 8)
		memcpy(x->data + X_HEADER, &features, 8);
}

int regs_restore(struct rthread *h)
{
	pid_t tid = agent_tid(h->task->restore->agent, h->slot);
	CLEANUP(xstate_clear) struct xstate x = {0};
	struct regs regs;
	int r = ptrace_get_regs(tid, &regs);

	if (r == 0)
		r = ptrace_get_xstate(tid, &x);
	if (r < 0)
		return r;
	if (x.len < FXSAVE_SIZE)
		return err_set(EIO, "thread %d: extended state of %zu bytes", tid, x.len);
	for (unsigned i = 0; i < ARRAY_SIZE(gp); i++)
		*field_of(&regs.gp, gp[i].kernels) =
			*field_of(h->core->thread_info->gpregs, gp[i].messages);
	regs_fix(&regs, REGS_RESTORE);
	if (whole_xstate(h, &x) == 1)
		xstate_of_message(h->core->thread_info->fpregs, &x);
	r = ptrace_set_xstate(tid, &x);
	return r < 0 ? r : ptrace_set_regs(tid, &regs);
}
