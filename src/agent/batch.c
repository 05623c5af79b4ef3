/* SPDX-License-Identifier: Apache-2.0 */
/* Composing batches.  Running them: run.c. */
#include "agent/batch.h"

#include "agent/private.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <string.h>
#include <sys/socket.h>

#define ARENA_ALIGN 16
#define SENDS_MAX   16 /* messages in flight that no socket buffer refuses */

static struct agent_slot *slot_of(const struct batch *b)
{
	return &b->agent->slots[b->slot];
}

static uint8_t *slot_memory(const struct batch *b)
{
	return (uint8_t *)slot_of(b)->shm;
}

int batch_fail(struct batch *b, int r)
{
	if (!b->err) {
		b->err = r;
		b->story = g_strdup(err_message());
	}
	return b->err;
}

void batch_begin(struct batch *b, struct agent *a, unsigned slot)
{
	*b = (struct batch){.agent = a, .slot = slot, .watch = {-1, -1}};
	b->ops = g_new(struct op, a->slots[slot].nops);
	b->results = g_array_new(FALSE, TRUE, sizeof(int64_t));
	b->outs = g_array_new(FALSE, FALSE, sizeof(struct batch_out));
	b->sends = g_array_new(FALSE, FALSE, sizeof(struct batch_send));
	b->children = g_array_new(FALSE, FALSE, sizeof(unsigned));
}

void batch_end(struct batch *b)
{
	ERR_KEEP;

	if (!b->agent)
		return;
	if (b->posted) { /* whoever gives up says why by himself */
		g_autofree char *story = g_strdup(err_message());

		if (batch_wait(b) < 0)
			err_adopt(0, story);
	}
	g_clear_pointer(&b->ops, g_free);
	g_clear_pointer(&b->story, g_free);
	g_array_unref(b->results);
	g_array_unref(b->outs);
	g_array_unref(b->sends);
	g_array_unref(b->children);
	cleanup_close(&b->watch[0]);
	cleanup_close(&b->watch[1]);
	b->agent = NULL;
}

static void run_what_is_there(struct batch *b)
{
	if (b->nops && batch_run(b) < 0)
		return; /* it sticks */
	if (!b->nops && !b->err && b->arena) {
		/* Data without operations: whoever put it there holds on to it in vain. */
		b->arena = 0;
		b->generation++;
	}
}

void batch_room(struct batch *b, unsigned n, size_t bytes)
{
	const struct agent_slot *s = slot_of(b);

	if (b->nops + n > s->nops || b->arena + bytes + ARENA_ALIGN * (n + 1) > s->arena_bytes)
		run_what_is_there(b);
}

size_t batch_arena_max(const struct batch *b)
{
	return slot_of(b)->arena_bytes - ARENA_ALIGN;
}

static struct arg reserve(struct batch *b, size_t len)
{
	const struct agent_slot *s = slot_of(b);
	uint32_t at;

	if (len > batch_arena_max(b)) {
		batch_fail(b, err_set(E2BIG, "%zu bytes do not fit into an agent's arena of %u",
				      len, s->arena_bytes));
		return IMM(0);
	}
	/* the operation that it is for must fit, too, or it would be given away by that one's run
	 */
	if (b->nops == s->nops || ROUND_UP(b->arena, ARENA_ALIGN) + len > s->arena_bytes)
		run_what_is_there(b);
	at = ROUND_UP(b->arena, ARENA_ALIGN);
	b->arena = at + (uint32_t)len;
	return (struct arg){.v = s->arena + at, .kind = ARG_SLOT, .generation = b->generation + 1};
}

struct arg batch_inout(struct batch *b, const void *data, void *dst, size_t len)
{
	struct arg place = reserve(b, len);
	struct batch_out out = {(uint32_t)place.v, dst, len};

	if (place.kind != ARG_SLOT)
		return place;
	if (data)
		memcpy(slot_memory(b) + place.v, data, len);
	else
		memset(slot_memory(b) + place.v, 0, len);
	if (dst)
		g_array_append_val(b->outs, out);
	return place;
}

struct arg batch_in(struct batch *b, const void *data, size_t len)
{
	return batch_inout(b, data, NULL, len);
}

struct arg batch_str(struct batch *b, const char *s)
{
	return batch_in(b, s, strlen(s) + 1);
}

struct arg batch_out(struct batch *b, void *dst, size_t len)
{
	return batch_inout(b, NULL, dst, len);
}

struct arg batch_int_at(struct batch *b, struct arg place, size_t off)
{
	return (struct arg){.v = place.v + off, .kind = ARG_INT, .generation = place.generation};
}

struct arg batch_word_at(struct batch *b, struct arg place, size_t off)
{
	return (struct arg){.v = place.v + off, .kind = ARG_WORD, .generation = place.generation};
}

uint64_t batch_addr(struct batch *b, struct arg place)
{
	return agent_slot_addr(b->agent, b->slot) + place.v;
}

static bool needs_generation(const struct arg *a)
{
	return a->kind == ARG_SLOT || a->kind == ARG_INT || a->kind == ARG_WORD;
}

/* Results of runs that are over become plain values. */
static int resolve(struct batch *b, struct arg *a)
{
	int id = (int)(uint32_t)a->v;

	if (needs_generation(a) && a->generation != b->generation + 1)
		return err_set(EPROTO,
			       "batch: data was given away by a run in between (batch_room())");
	if (a->kind != ARG_RES)
		return 0;
	if (id < 0 || id >= b->base + (int)b->nops)
		return err_set(EPROTO, "batch: no operation %d", id);
	if (id >= b->base)
		a->v = (a->v & ~UINT64_C(0xffffffff)) | (uint32_t)(id - b->base);
	else
		*a = IMM((uint64_t)g_array_index(b->results, int64_t, id) + (a->v >> 32));
	return 0;
}

int batch_add_v(struct batch *b, uint32_t nr, const struct arg *args, unsigned n)
{
	struct op op = {.nr = nr};

	if (b->nops == slot_of(b)->nops)
		run_what_is_there(b);
	for (unsigned i = 0; i < MIN(n, 6u) && !b->err; i++) {
		struct arg a = args[i];
		int r = resolve(b, &a);

		if (r < 0)
			batch_fail(b, r);
		op.arg[i] = a.v;
		op.flags |= a.kind << OP_ARG_SHIFT(i);
	}
	if (b->err)
		return b->base;
	b->ops[b->nops] = op;
	return b->base + (int)b->nops++;
}

static struct op *waiting_op(struct batch *b, int id)
{
	if (b->err || id < b->base || id >= b->base + (int)b->nops)
		return NULL;
	return &b->ops[id - b->base];
}

void batch_may_fail(struct batch *b, int id)
{
	struct op *op = waiting_op(b, id);

	if (op)
		op->flags |= OP_MAY_FAIL;
}

void batch_expect(struct batch *b, int id, int64_t ret)
{
	struct op *op = waiting_op(b, id);

	if (op) {
		op->flags |= OP_EXPECT;
		op->expect = ret;
	}
}

int batch_clone(struct batch *b, const struct clone_spec *c)
{
	struct agent *a = b->agent;
	struct agent_slot *child = &a->slots[c->child];
	struct clone_args args = {
		.flags = c->flags,
		.exit_signal = (uint64_t)c->exit_signal,
		.stack_size = child->stack - 64,
		.set_tid_size = c->ntids,
		.cgroup = (uint64_t)c->cgroup_fd,
	};
	struct arg tids, place;
	int id;

	if (c->child >= a->nslots || child->tid) {
		batch_fail(b, err_set(EINVAL, "batch: slot %u is not free", c->child));
		return b->base;
	}
	batch_room(b, 1, sizeof(args) + c->ntids * sizeof(pid_t));
	/* A stack of its own even without CLONE_VM: the mailbox is shared memory. */
	args.stack = agent_slot_addr(a, c->child) + 64;
	args.stack_size = child->stack - 64;
	if (c->ntids) {
		tids = batch_in(b, c->tids, c->ntids * sizeof(pid_t));
		args.set_tid = batch_addr(b, tids);
	}
	place = batch_in(b, &args, sizeof(args));
	id = batch_add(b, OP_CLONE, place, IMM(sizeof(args)), IMM(agent_slot_addr(a, c->child)));
	bell_init(child->shm, gettid());
	child->shm->state = SLOT_IDLE;
	if (!(c->flags & CLONE_UNTRACED)) /* nothing is told of the others' birth */
		g_array_append_val(b->children, c->child);
	return id;
}

struct arg batch_recv_fds(struct batch *b, const int *fds, unsigned n, int *ret)
{
	struct agent *a = b->agent;
	size_t control = CONTROL_HEADER + ROUND_UP(n * sizeof(int), sizeof(uint64_t));
	struct batch_send send = {.n = n};
	struct iovec iov = {.iov_len = 1};
	struct msghdr m = {.msg_iovlen = 1, .msg_controllen = control};
	struct arg box, fds_at, place;
	int id;

	if (n == 0 || n > FD_SEND_MAX) {
		batch_fail(b, err_set(EINVAL, "batch: %u descriptors at once", n));
		return IMM(0);
	}
	if (a->group && (b->slot || b->box_used)) {
		batch_fail(b,
			   err_set(EINVAL, "batch: descriptors go to slot 0, one set at a time"));
		return IMM(0);
	}
	if (b->sends->len == SENDS_MAX)
		run_what_is_there(b);
	if (a->sock < 0) {
		int r;

		run_what_is_there(b);
		r = b->err ? b->err : agent_channel(a);
		if (r < 0) {
			batch_fail(b, r);
			return IMM(0);
		}
	}
	batch_room(b, 3, control + sizeof(m) + sizeof(iov) + 64);
	if (a->group) {
		box = (struct arg){.v = agent_box(slot_of(b)),
				   .kind = ARG_SLOT,
				   .generation = b->generation + 1};
		b->box_used = true;
	} else {
		box = batch_inout(b, NULL, NULL, control);
	}
	iov.iov_base = (void *)batch_addr(b, batch_inout(b, NULL, NULL, 1));
	m.msg_iov = (void *)batch_addr(b, batch_in(b, &iov, sizeof(iov)));
	m.msg_control = (void *)batch_addr(b, box);
	place = batch_in(b, &m, sizeof(m));
	id = batch_add(b, SYS_recvmsg, IMM(a->tsock), place, IMM(MSG_CMSG_CLOEXEC));
	batch_expect(b, id, 1);
	send.box = (uint32_t)box.v;
	memcpy(send.fds, fds, n * sizeof(*fds));
	g_array_append_val(b->sends, send);
	fds_at = box;
	fds_at.v += CONTROL_HEADER;
	if (ret) {
		struct batch_out out = {(uint32_t)fds_at.v, ret, n * sizeof(int)};

		g_array_append_val(b->outs, out);
	}
	return fds_at;
}

void batch_close_fds(struct batch *b)
{
	const struct agent_slot *s = slot_of(b);
	int *box;

	/* Numbers that this very batch receives are known only afterwards. */
	if (b->box_used)
		run_what_is_there(b);
	if (b->err || b->slot >= b->agent->nbig)
		return;
	box = (int *)(slot_memory(b) + agent_box(s) + CONTROL_HEADER);
	for (unsigned i = 0; i < BOX_FDS; i++) {
		if (box[i] < 0)
			continue;
		batch_add(b, SYS_close, IMM(box[i]));
	}
	run_what_is_there(b);
	memset((uint8_t *)s->shm + agent_box(s), 0xff, CONTROL_HEADER + BOX_FDS * sizeof(int));
	b->box_used = false;
}

int64_t batch_result(const struct batch *b, int id)
{
	if (id < 0 || id >= (int)b->results->len)
		return -EPROTO;
	return g_array_index(b->results, int64_t, id);
}

void batch_watch_exec(struct batch *b)
{
	if (pipe2(b->watch, O_CLOEXEC) < 0) {
		batch_fail(b, err_errno("create a pipe"));
		return;
	}
	batch_recv_fds(b, &b->watch[1], 1, NULL);
}
