/* SPDX-License-Identifier: Apache-2.0 */
/*
 * General registers and extended state.  CRIU's message takes the XSAVE area apart, and has a place
 * for the parts that it knows; when another one is in use (AMX), the whole area travels beside it
 * in IMAGE_EXTRA, and is used if this CPU's has the same length.
 */
#include "state/task/task.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

/* Offsets in the standard XSAVE area: Intel SDM volume 1, 13.4 and CPUID leaf 0Dh. */
#define X_ST	    32
#define X_XMM	    160
#define X_HEADER    512
#define FXSAVE_SIZE 512
#define X_FPU_SSE   UINT64_C(3) /* the legacy part, which is always there */
#define X_AVX	    2

#define PART(number, m)                                                                            \
	{                                                                                          \
		number, sizeof(*((UserX86XsaveEntry *)NULL)->m),                                   \
			offsetof(UserX86XsaveEntry, n_##m), offsetof(UserX86XsaveEntry, m)         \
	}
/* Components that the message has a place for, by their bit in XSTATE_BV. */
static const struct {
	unsigned number;
	size_t item, count, items; /* size of an item; offsets in the message */
} parts[] = {
	PART(X_AVX, ymmh_space), PART(3, bndreg_state), PART(4, bndcsr_state), PART(5, opmask_reg),
	PART(6, zmm_upper),	 PART(7, hi16_zmm),	PART(9, pkru),
};

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

static void *place_of(void *base, size_t offset)
{
	return (char *)base + offset;
}

/*
 * What is in use; the bits in *RET_REST have no place.  CRIU writes all that the CPU has, and
 * readers of its images (criu-coredump) take the upper halves of YMM without asking: those are
 * always there.
 */
static UserX86XsaveEntry *xsave_message(const struct xstate *x, uint64_t *ret_rest)
{
	UserX86XsaveEntry *e = g_new0(UserX86XsaveEntry, 1);
	uint64_t features = xstate_features(x);

	user_x86_xsave_entry__init(e);
	e->xstate_bv = features;
	*ret_rest = features & ~X_FPU_SSE;
	for (unsigned i = 0; i < ARRAY_SIZE(parts); i++) {
		const struct xstate_part *p = xstate_part(parts[i].number);
		bool used = features >> parts[i].number & 1 && p->offset + p->bytes <= x->len;

		if (!used && parts[i].number != X_AVX)
			continue;
		*(void **)place_of(e, parts[i].items) =
			used ? g_memdup2(x->data + p->offset, p->bytes) : g_malloc0(p->bytes);
		*(size_t *)place_of(e, parts[i].count) = p->bytes / parts[i].item;
		if (used)
			*ret_rest &= ~(UINT64_C(1) << parts[i].number);
	}
	return e;
}

static UserX86FpregsEntry *fp_message(const struct xstate *x, uint64_t *ret_rest)
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
	*ret_rest = 0;
	if (x->len >= X_HEADER + 8)
		e->xsave = xsave_message(x, ret_rest);
	return e;
}

static void note_whole_xstate(struct dthread *h, const struct xstate *x)
{
	g_autofree char *text = g_base64_encode(x->data, x->len);
	char key[32];

	g_snprintf(key, sizeof(key), "xstate.%d", h->nstid);
	json_object_set_new(h->task->extra, key, json_string(text));
}

int regs_dump(struct dump *d, struct dthread *h)
{
	unsigned i = (unsigned)(h - h->task->threads);
	struct seized_thread *s = seized_at(&h->task->seized, i);
	ThreadInfoX86 *info;
	uint64_t rest;

	if (regs_are_compat(&s->regs))
		return err_set(EOPNOTSUPP, "thread %d runs 32-bit code", h->nstid);
	if (s->xstate.len < FXSAVE_SIZE)
		return err_set(EIO, "thread %d: extended state of %zu bytes", h->nstid,
			       s->xstate.len);
	h->core->thread_info = info = g_new0(ThreadInfoX86, 1);
	thread_info_x86__init(info);
	info->gpregs = gp_message(&s->regs);
	info->fpregs = fp_message(&s->xstate, &rest);
	if (rest)
		note_whole_xstate(h, &s->xstate);
	return 0;
}

/* By its program: which code a thread runs its registers tell, when it stands still. */
int regs_check(struct dump *d, struct dtask *t)
{
	autoclose int fd = openat(t->proc.dir, "exe", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	unsigned char ident[EI_NIDENT];

	if (fd < 0 || pread(fd, ident, sizeof(ident), 0) != sizeof(ident) ||
	    memcmp(ident, ELFMAG, SELFMAG) != 0 || ident[EI_CLASS] != ELFCLASS32)
		return 0;
	return dump_refuse(d, dtask_wrap(t, err_set(EOPNOTSUPP, "it runs 32-bit code, which is not "
								"saved; end it")));
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

/* Has this CPU all that is in use there, in the same places? */
static bool fits(const struct xstate *saved, const struct xstate *here)
{
	for (uint64_t f = xstate_features(saved) & ~X_FPU_SSE; f; f &= f - 1) {
		const struct xstate_part *p = xstate_part((unsigned)__builtin_ctzll(f));

		if (!p->bytes || p->offset + p->bytes > saved->len)
			return false;
	}
	return saved->len >= X_HEADER + 8 && saved->len <= here->len;
}

/* It is base64 in the image.  1: there is none. */
static int saved_xstate(const struct rthread *h, struct xstate *ret)
{
	const char *text;
	char key[32];

	g_snprintf(key, sizeof(key), "xstate.%d", h->nstid);
	text = json_string_value(json_object_get(h->task->extra, key));
	if (text)
		ret->data = g_base64_decode(text, &ret->len);
	return text && ret->len >= X_HEADER + 8 ? 0 : 1;
}

/* A thread that has used no tiles yet cannot be given any (fpu/xstate.c: fpstate_realloc()). */
int regs_tell(struct restore *r, struct rthread *h, struct batch *b)
{
	CLEANUP(xstate_clear) struct xstate saved = {0};

	if (saved_xstate(h, &saved) == 0 && xstate_features(&saved) >> XSTATE_TILES & 1 &&
	    json_object_get(h->task->extra, "xcomponents"))
		batch_add(b, OP_TILES);
	return 0;
}

/* 1: there is none that fits. */
static int whole_xstate(struct rthread *h, struct xstate *x)
{
	CLEANUP(xstate_clear) struct xstate saved = {0};

	if (saved_xstate(h, &saved) == 1 || !fits(&saved, x))
		return 1;
	memcpy(x->data, saved.data, saved.len);
	return 0;
}

/* Returns the components that are there, and fit into this CPU's. */
static uint64_t put_parts(const UserX86XsaveEntry *e, struct xstate *x)
{
	uint64_t features = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(parts); i++) {
		const struct xstate_part *p = xstate_part(parts[i].number);
		size_t n = *(const size_t *)place_of((void *)e, parts[i].count);
		const void *from = *(void *const *)place_of((void *)e, parts[i].items);

		if (!n || !(e->xstate_bv >> parts[i].number & 1) || n * parts[i].item != p->bytes ||
		    p->offset + p->bytes > x->len)
			continue;
		memcpy(x->data + p->offset, from, p->bytes);
		features |= UINT64_C(1) << parts[i].number;
	}
	return features;
}

static void xstate_of_message(const UserX86FpregsEntry *e, struct xstate *x)
{
	uint16_t half[4] = {(uint16_t)e->cwd, (uint16_t)e->swd, (uint16_t)e->twd, (uint16_t)e->fop};
	uint64_t features = X_FPU_SSE;

	memcpy(x->data, half, sizeof(half));
	memcpy(x->data + 8, &e->rip, 8);
	memcpy(x->data + 16, &e->rdp, 8);
	memcpy(x->data + 24, &e->mxcsr, 4);
	memcpy(x->data + X_ST, e->st_space, 128);
	memcpy(x->data + X_XMM, e->xmm_space, 256);
	if (e->xsave)
		features |= put_parts(e->xsave, x);
	if (x->len >= X_HEADER + 8)
		memcpy(x->data + X_HEADER, &features, 8);
}

int regs_restore(struct rthread *h)
{
	pid_t tid = agent_tid(h->task->restore->agent, h->slot);
	CLEANUP(xstate_clear) struct xstate x = {0};
	size_t *size = &h->task->restore->xstate_bytes;
	struct regs regs = {0};
	int r = *size ? 0 : ptrace_xstate_size(tid, size);

	if (r < 0)
		return r;
	if (*size < FXSAVE_SIZE)
		return err_set(EIO, "thread %d: extended state of %zu bytes", tid, *size);
	x = (struct xstate){g_malloc0(*size), *size};
	for (unsigned i = 0; i < ARRAY_SIZE(gp); i++)
		*field_of(&regs.gp, gp[i].kernels) =
			*field_of(h->core->thread_info->gpregs, gp[i].messages);
	r = waits_restore(h, &regs); /* 1: its restart_block is there */
	if (r < 0)
		return r;
	if (r == 0)
		regs_leave(&regs, REGS_RESTORE);
	if (whole_xstate(h, &x) == 1)
		xstate_of_message(h->core->thread_info->fpregs, &x);
	r = ptrace_set_xstate(tid, &x);
	return r < 0 ? r : ptrace_set_regs(tid, &regs);
}
