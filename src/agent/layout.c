/* SPDX-License-Identifier: Apache-2.0 */
/* Where things lie in a mailbox, and where a mailbox may lie in a process. */
#include "agent/private.h"
#include "base/fd.h"
#include "kernel/maps.h"
#include "kernel/touch.h"

#include <string.h>
#include <sys/mman.h>

#define BIG_OPS	    512
#define BIG_ARENA   (128 * 1024)
#define SMALL_OPS   40
#define SMALL_ARENA 2048
#define STACK_BYTES 1024 /* the agent needs about 200, and never gets a signal */
#define ALIGNMENT   64
/* Distance from other mappings: nothing merges, and a stack may still grow. */
#define HOLE_MARGIN (2 * 1024 * 1024)
#define USER_END    UINT64_C(0x7ffffffff000)

struct slot_layout {
	uint32_t nops, ops, arena, arena_bytes, box, frame, stack, bytes;
};

static struct slot_layout layout_slot(bool big, const struct agent_sizes *z, size_t frame_bytes)
{
	uint32_t at = ROUND_UP(sizeof(struct slot), ALIGNMENT);
	struct slot_layout l = {
		.nops = big ? BIG_OPS : SMALL_OPS,
		.arena_bytes = big ? BIG_ARENA : SMALL_ARENA,
	};

	if (z && (big ? z->big_ops : z->small_ops))
		l.nops = MIN(big ? z->big_ops : z->small_ops, MAILBOX_OPS_MAX);
	if (z && (big ? z->big_arena : z->small_arena))
		l.arena_bytes = ROUND_UP(big ? z->big_arena : z->small_arena, ALIGNMENT);
	l.ops = at;
	at = ROUND_UP(at + l.nops * (uint32_t)sizeof(struct op), ALIGNMENT);
	l.arena = at;
	l.box = at + l.arena_bytes;
	at = l.box + (big ? CONTROL_HEADER + BOX_INTS * (uint32_t)sizeof(int) : 0);
	l.frame = ROUND_UP(at, ALIGNMENT);
	l.stack = l.frame + (uint32_t)ROUND_UP(frame_bytes, ALIGNMENT) + STACK_BYTES;
	l.bytes = l.stack;
	return l;
}

static uint64_t total_bytes(const struct slot_layout *big, unsigned nbig,
			    const struct slot_layout *small, unsigned nsmall)
{
	return ROUND_UP(MAILBOX_CODE_BYTES + (uint64_t)nbig * big->bytes +
				(uint64_t)nsmall * small->bytes,
			PAGE_BYTES);
}

uint64_t agent_layout_bytes(unsigned nbig, unsigned nsmall, const struct agent_sizes *sizes,
			    size_t frame_bytes)
{
	struct slot_layout big = layout_slot(true, sizes, frame_bytes);
	struct slot_layout small = layout_slot(false, sizes, frame_bytes);

	return total_bytes(&big, nbig, &small, nsmall);
}

struct agent *agent_new(unsigned nbig, unsigned nsmall, const struct agent_sizes *sizes,
			size_t frame_bytes)
{
	struct slot_layout big = layout_slot(true, sizes, frame_bytes);
	struct slot_layout small = layout_slot(false, sizes, frame_bytes);
	struct agent *a = g_new0(struct agent, 1);
	uint64_t at = MAILBOX_CODE_BYTES;

	a->nbig = nbig;
	a->nslots = nbig + nsmall;
	a->bytes = total_bytes(&big, nbig, &small, nsmall);
	a->pidfd = a->mailbox_fd = a->sock = a->tsock = -1;
	a->slots = g_new0(struct agent_slot, a->nslots);
	for (unsigned i = 0; i < a->nslots; i++) {
		const struct slot_layout *l = i < nbig ? &big : &small;

		a->slots[i] = (struct agent_slot){
			.offset = (uint32_t)at,
			.nops = l->nops,
			.ops = l->ops,
			.arena = l->arena,
			.arena_bytes = l->arena_bytes,
			.frame = l->frame,
			.stack = l->stack,
		};
		at += l->bytes;
	}
	return a;
}

/* Of other threads' slots each page is used, here and there: all at once is cheaper than by faults.
 */
static void populate_small(struct agent *a)
{
	uint64_t from = a->nbig < a->nslots ? a->slots[a->nbig].offset : a->bytes;

	from = ROUND_DOWN(from, PAGE_BYTES);
	if (from < a->bytes)
		madvise(a->map + from, a->bytes - from, MADV_POPULATE_WRITE);
}

int agent_map_mailbox(struct agent *a, int fd)
{
	uint8_t *map = mmap(NULL, a->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	pid_t owner = gettid();

	if (map == MAP_FAILED)
		return err_errno("map the agent's mailbox (%lu bytes)", a->bytes);
	/* Our own children have no business with it. */
	madvise(map, a->bytes, MADV_DONTFORK);
	a->map = map;
	populate_small(a);
	memcpy(map, agent_blob, (size_t)(agent_blob_end - agent_blob));
	for (unsigned i = 0; i < a->nslots; i++) {
		struct agent_slot *s = &a->slots[i];

		s->shm = (struct slot *)(map + s->offset);
		s->shm->ops = s->ops;
		s->shm->stack = agent_slot_addr(a, i) + s->stack;
		bell_init(s->shm, owner);
		if (i < a->nbig)
			memset((uint8_t *)s->shm + agent_box(s), 0xff,
			       CONTROL_HEADER + BOX_INTS * sizeof(int));
	}
	return 0;
}

uint64_t agent_find_hole(const struct maps *m, uint64_t bytes)
{
	uint64_t at = AGENT_ADDR;

	for (size_t i = 0; i < m->n; i++) {
		if (m->v[i].end + HOLE_MARGIN <= at)
			continue;
		if (m->v[i].start >= at + bytes + HOLE_MARGIN)
			break;
		at = ROUND_UP(m->v[i].end + HOLE_MARGIN, PAGE_BYTES);
	}
	return at + bytes + HOLE_MARGIN < USER_END ? at : 0;
}
