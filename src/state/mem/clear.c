/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Room for address spaces.  The root's is cleared before it forks, so that all tasks start with
 * nothing but the agent and the vdso, which waits below the agent, where none of them has anything.
 */
#include "state/mem/mem.h"
#include "state/mem/staged.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#define HOLE_FIRST UINT64_C(0x200000000000)
#define HOLE_STEP  UINT64_C(0x10000000)

static bool is_free(struct restore *r, const struct maps *stub, uint64_t from, uint64_t to)
{
	for (size_t k = 0; k < stub->n; k++)
		if (stub->v[k].start < to && stub->v[k].end > from)
			return false;
	for (unsigned i = 0; i < r->nimages; i++) {
		const MmEntry *m = restore_task(r, i)->mm;

		for (size_t k = 0; m && k < m->n_vmas; k++)
			if (m->vmas[k]->start < to && m->vmas[k]->end > from)
				return false;
	}
	return true;
}

static int read_stub(pid_t pid, struct maps *ret)
{
	CLEANUP(proc_close) struct proc p = PROC_NONE;
	int r = proc_open(pid, &p);

	return r < 0 ? r : maps_read(p.dir, ret);
}

/* The first place from AT on that is free in all processes to be and in this stub. */
static int hole_beside(struct restore *r, pid_t pid, uint64_t bytes, uint64_t *at)
{
	CLEANUP(maps_clear) struct maps stub = {0};
	int ret = read_stub(pid, &stub);

	while (ret == 0 && *at + bytes < TASK_SIZE && !is_free(r, &stub, *at, *at + bytes))
		*at += HOLE_STEP;
	return ret;
}

int mem_find_hole(struct restore *r, uint64_t bytes)
{
	uint64_t before;

	r->hole = HOLE_FIRST;
	do { /* until no stub has moved it */
		int ret = 0;

		before = r->hole;
		for (unsigned i = 0; ret == 0 && i <= r->o.nguests; i++)
			ret = hole_beside(r, i ? r->guests[i - 1].stub.pid : r->stub.pid, bytes,
					  &r->hole);
		if (ret < 0)
			return ret;
	} while (r->hole != before);
	return r->hole + bytes < TASK_SIZE ? 0
					   : err_set(ENOMEM, "no address is free in all processes");
}

uint64_t mem_vdso_waits(const struct restore *r, unsigned i)
{
	return r->hole + i * (HOLE_VDSO_BYTES / 4);
}

static void unmap(struct batch *b, uint64_t from, uint64_t to)
{
	if (from < to)
		batch_add(b, SYS_munmap, IMM(from), IMM(to - from));
}

/* Nothing is left of a stub but the agent and, below it, the vdso; and memory that waits. */
static int clear(struct restore *r, struct rtask *t, const struct vdso_part vdso[VDSO_PARTS])
{
	uint64_t end = r->agent->addr + r->agent->bytes, kept, kept_end;
	CLEANUP(batch_end) struct batch b = {0};

	rtask_batch(t, &b);
	for (unsigned i = 0; i < VDSO_PARTS; i++)
		if (vdso[i].bytes)
			batch_expect(&b,
				     batch_add(&b, SYS_mremap, IMM(vdso[i].start),
					       IMM(vdso[i].bytes), IMM(vdso[i].bytes),
					       IMM(MREMAP_MAYMOVE | MREMAP_FIXED),
					       IMM(mem_vdso_waits(r, i))),
				     (int64_t)mem_vdso_waits(r, i));
	stage_place(r, &kept, &kept_end);
	unmap(&b, 0, r->hole);
	unmap(&b, end, MAX(end, kept));
	unmap(&b, MAX(end, kept_end), TASK_SIZE);
	return batch_run(&b);
}

static int clear_guest(struct restore *r, const struct guest *g)
{
	CLEANUP(maps_clear) struct maps stub = {0};
	struct vdso_part vdso[VDSO_PARTS] = {0};
	int ret = read_stub(g->stub.pid, &stub);

	if (ret < 0)
		return ret;
	vdso_parts_of_maps(&stub, vdso);
	return rtask_wrap(g->task, clear(r, g->task, vdso));
}

int mem_clear(struct restore *r)
{
	CLEANUP(maps_clear) struct maps stub = {0};
	const char *want = json_string_value(json_object_get(r->extra, "vdso"));
	g_autofree char *have = NULL;
	int ret = read_stub(r->stub.pid, &stub);

	if (ret < 0)
		return ret;
	vdso_parts_of_maps(&stub, r->vdso);
	ret = vdso_hash(r->stub.pid, &r->vdso[VDSO_CODE], &have);
	if (ret < 0)
		return ret;
	if (want && strcmp(want, have) != 0)
		return err_set(EOPNOTSUPP,
			       "the checkpoint is from another kernel: its vdso differs");
	ret = clear(r, restore_task(r, 0), r->vdso);
	for (unsigned i = 0; ret == 0 && i < r->o.nguests; i++)
		ret = clear_guest(r, &r->guests[i]);
	return ret;
}
